import Commerce
import EventSourcing
import Testing

@Suite struct IdentifierTests {
  private let uuid = "0193e4a0-7c1e-7abc-8def-0123456789ab"

  @Test("an order's id is made of its command's id, and names everything of the order")
  func orderID() throws {
    let id = OrderID(try #require(CommandID(uuid)))
    #expect(id.text == "order_\(uuid)")
    #expect(id.paymentID.text == "payment_\(uuid)")
    #expect(id.notificationID.text == "notification_\(uuid)")
    #expect(id.reservationID.text == "reservation_\(uuid)")
    #expect(id.sagaID == "saga_order_\(uuid)")
  }

  @Test("an order's id is read with and without its prefix, and in any case")
  func readsOrderID() {
    #expect(OrderID(uuid) == OrderID("order_\(uuid)"))
    #expect(OrderID("order_\(uuid.uppercased())") == OrderID(uuid))
    #expect(OrderID("By-Hand_7")?.text == "order_By-Hand_7")
  }

  @Test(
    "what cannot name a stream is no order id",
    arguments: ["", "order_", "a b", "a/b", "$where", String(repeating: "x", count: 52)])
  func refusesOrderID(text: String) {
    #expect(OrderID(text) == nil)
  }

  @Test("the ids of what belongs to the longest order id are still legal")
  func longestOrderID() throws {
    let id = try #require(OrderID(String(repeating: "x", count: 51)))
    #expect(StreamName.isLegal(id.notificationID.text))
    #expect(StreamName.isLegal(id.sagaID))
  }

  @Test("a number is read only as its plain decimal digits", arguments: ["0", "01", "+1", "1.0"])
  func refusesNumbers(text: String) {
    #expect(ProductID(text) == nil)
    #expect(CustomerID(text) == nil)
  }

  @Test("product and customer numbers reach from 1 to 2147483647")
  func numberRange() {
    #expect(ProductID("2147483647") == ProductID(2_147_483_647))
    #expect(CustomerID("1") == CustomerID(1))
    #expect(ProductID("2147483648") == nil)
    #expect(throws: FieldError.self) { try (["product_id": 0] as Fields).productID() }
    #expect(throws: FieldError.self) { try (["user_id": 2_147_483_648] as Fields).customerID() }
  }

  @Test("the depot comes first, then the stores by number")
  func locations() {
    let names = ["store_10", "store_2", "depot", "store_1"]
    #expect(
      names.compactMap { Location($0) }.sorted().map(\.name)
        == ["depot", "store_1", "store_2", "store_10"])
    #expect(Location("store_0") == nil)
    #expect(Location("attic") == nil)
    #expect(Location(store: nil) == .depot)
    #expect(Location(store: 3) == .store(3))
  }
}
