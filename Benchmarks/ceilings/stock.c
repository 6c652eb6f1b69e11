/* Counts, from the log and with rules of its own, what was received and reserved of each product;
 * fails at the first event that reserves more than there is.
 *
 *   stock URI
 *
 * For logs in which pieces are received and reserved and nothing else happens to them: every other
 * event of a stock is a failure too. */
#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PRODUCTS_MAX = 100000 };

typedef struct {
  int64_t received, reserved;
} stock_t;

static stock_t products[PRODUCTS_MAX];

static const char *text_of(const bson_t *event, const char *key) {
  bson_iter_t field;
  return bson_iter_init_find(&field, event, key) ? bson_iter_utf8(&field, NULL) : "";
}

static int64_t quantity_of(const bson_t *event) {
  bson_iter_t top, quantity;
  if (!bson_iter_init(&top, event) ||
      !bson_iter_find_descendant(&top, "data.quantity", &quantity)) {
    fail("a %s has no quantity", text_of(event, "event_type"));
  }
  return bson_iter_as_int64(&quantity);
}

static void count(const bson_t *event) {
  if (strcmp(text_of(event, "aggregate_type"), "inventory") != 0) return;
  const char *type = text_of(event, "event_type"), *id = text_of(event, "aggregate_id");
  size_t number = (size_t)positive(id, "the product's number");
  if (number >= PRODUCTS_MAX) fail("product %s is beyond what is counted here", id);
  stock_t *product = &products[number];
  if (strcmp(type, "StockRestocked") == 0) {
    product->received += quantity_of(event);
  } else if (strcmp(type, "StockReserved") == 0) {
    product->reserved += quantity_of(event);
  } else {
    fail("a %s of product %s: nobody asked for it", type, id);
  }
  if (product->reserved > product->received) {
    fail("product %s is oversold: %lld reserved of %lld", id, (long long)product->reserved,
         (long long)product->received);
  }
}

static void count_commit(const bson_t *commit) {
  bson_iter_t events, place;
  if (!bson_iter_init_find(&events, commit, "events") || !bson_iter_recurse(&events, &place)) {
    fail("a commit has no events");
  }
  while (bson_iter_next(&place)) {
    bson_t event;
    const uint8_t *bytes;
    uint32_t length;
    bson_iter_document(&place, &length, &bytes);
    must(bson_init_static(&event, bytes, length));
    count(&event);
  }
}

int main(int arguments_count, char **arguments) {
  if (arguments_count != 2) fail("usage: stock URI");
  mongoc_init();
  mongoc_client_pool_t *pool = log_connect(arguments[1], 1);
  mongoc_client_t *client = mongoc_client_pool_pop(pool);
  mongoc_collection_t *log = log_collection(client, "log");
  bson_t all = BSON_INITIALIZER;
  bson_t *in_order = BCON_NEW("sort", "{", "_id", BCON_INT32(1), "}");
  mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(log, &all, in_order, NULL);
  const bson_t *commit;
  while (mongoc_cursor_next(cursor, &commit)) count_commit(commit);
  bson_error_t error;
  if (mongoc_cursor_error(cursor, &error)) fail("find: %s", error.message);

  int64_t reserved = 0;
  size_t touched = 0;
  for (size_t i = 0; i < PRODUCTS_MAX; i++) {
    reserved += products[i].reserved;
    if (products[i].reserved) touched++;
  }
  printf("stock.reserved %lld pieces\n", (long long)reserved);
  printf("stock.products %zu products\n", touched);

  mongoc_cursor_destroy(cursor);
  bson_destroy(in_order);
  mongoc_collection_destroy(log);
  mongoc_client_pool_push(pool, client);
  mongoc_client_pool_destroy(pool);
  mongoc_cleanup();
  return 0;
}
