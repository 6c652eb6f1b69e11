#pragma once
#include <mongoc/mongoc.h>

// bson_t is over-aligned, so Swift sees it as an opaque type: these tell how to allocate one
// and how long the document in it is.
static inline size_t magasin_bson_size(void) { return sizeof(bson_t); }
static inline size_t magasin_bson_alignment(void) { return BSON_ALIGNOF(bson_t); }
static inline uint32_t magasin_bson_length(const bson_t *bson) { return bson->len; }
