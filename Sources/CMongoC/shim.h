#pragma once
#include <mongoc/mongoc.h>

// bson_t is over-aligned, so Swift sees it as an opaque type: these tell how to allocate one
// and how long the document in it is.
static inline size_t magasin_bson_size(void) { return sizeof(bson_t); }
static inline size_t magasin_bson_alignment(void) { return BSON_ALIGNOF(bson_t); }
static inline uint32_t magasin_bson_length(const bson_t *bson) { return bson->len; }

#ifdef __GLIBC__
#include <malloc.h>
// Swift's Glibc module leaves malloc.h out.
static inline void magasin_tune_malloc(void) {
  mallopt(M_ARENA_MAX, 4);
  mallopt(M_TRIM_THRESHOLD, 16 << 20);
  mallopt(M_MMAP_THRESHOLD, 8 << 20);
  mallopt(M_TOP_PAD, 1 << 20);
}
#else
static inline void magasin_tune_malloc(void) {}
#endif
