import EventSourcing

/// What happens to a customer, in `customers/<customer_id>`.
public enum CustomerEvent: Event, Hashable {
  case registered(CustomerRegistered)

  public var type: String {
    switch self {
    case .registered: CustomerRegistered.type
    }
  }

  public var data: Fields {
    switch self {
    case .registered(let event): event.fields
    }
  }

  public init(type: String, schema: Int, data: Fields) throws {
    switch (type, schema) {
    case (CustomerRegistered.type, 1):
      self = .registered(try CustomerRegistered(fields: data))
    default: throw UnknownEvent(type: type, schema: schema)
    }
  }
}

public struct CustomerRegistered: Sendable, Hashable {
  public static var type: String { "CustomerRegistered" }

  public var customerID: CustomerID
  public var name: String
  public var email: String

  public init(customerID: CustomerID, name: String, email: String) {
    self.customerID = customerID
    self.name = name
    self.email = email
  }

  public init(fields: Fields) throws {
    customerID = try fields.customerID("customer_id")
    name = try fields.string("name")
    email = try fields.string("email")
  }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 3) {
      $0.add("customer_id", customerID.value)
      $0.add("name", name)
      $0.add("email", email)
    }
  }
}
