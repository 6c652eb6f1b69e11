import Commerce
import EventSourcing

/// What a saga keeps of its order: all that its commands need, so that it never has to look.
public struct SagaOrder: Sendable, Hashable {
  public struct Line: Sendable, Hashable {
    public var product: ProductID
    public var quantity: Int64

    public init(_ product: ProductID, _ quantity: Int64) {
      self.product = product
      self.quantity = quantity
    }
  }

  public var id: OrderID
  public var user: CustomerID
  public var userName: String
  public var userEmail: String
  public var lines: [Line]
  public var total: Money
  public var paymentMethod: String
  public var store: Int64?

  public init(
    id: OrderID, user: CustomerID, userName: String, userEmail: String, lines: [Line],
    total: Money, paymentMethod: String, store: Int64? = nil
  ) {
    self.id = id
    self.user = user
    self.userName = userName
    self.userEmail = userEmail
    self.lines = lines
    self.total = total
    self.paymentMethod = paymentMethod
    self.store = store
  }

  /// Reads the data of OrderInitiated and of SagaStarted, which use the same keys.
  init(fields: Fields) throws {
    self.init(
      id: try fields.orderID(), user: try fields.customerID(),
      userName: try fields.string("user_name"), userEmail: try fields.string("user_email"),
      lines: try fields.objects("items") {
        Line(try $0.productID(), try $0.integer("quantity"))
      },
      total: try fields.money("total_amount"), paymentMethod: try fields.string("payment_method"),
      store: try fields.integerIfPresent("store_id"))
  }

  var linesValue: Value {
    .array(
      lines.map { line in
        ["product_id": line.product.value, "quantity": .integer(line.quantity)]
      })
  }

  var productsValue: Value { .array(lines.map(\.product.value)) }

  func write(into fields: inout Fields) {
    fields["user_id"] = user.value
    fields["user_email"] = .string(userEmail)
    fields["user_name"] = .string(userName)
    fields["items"] = linesValue
    fields["total_amount"] = total.value
    fields["currency"] = .string(total.currency.code)
    fields["payment_method"] = .string(paymentMethod)
    fields["store_id"] = store.map(Value.integer)
  }
}
