import Commerce
import EventSourcing

extension OrderQueries {
  /// Orders that were placed before a moment, and of which nothing has come yet: neither stock nor
  /// a refusal. The newest first.
  public func unsettled(placedBefore moment: Timestamp) async throws -> [OrderID] {
    var found: [OrderID] = []
    for status in [OrderRow.Status.initiated, .cancelling] {
      var cursor: PageCursor?
      repeat {
        let page = try await byStatus(status, limit: 500, cursor: cursor).value
        for row in page.rows where try row.timestamp("created_at") < moment {
          found.append(try row.orderID())
        }
        cursor = page.next
      } while cursor != nil
    }
    return found
  }
}
