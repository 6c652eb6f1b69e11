import EventSourcing

public enum CustomerCommand: Sendable, Hashable {
  case register(CustomerRegistered)
}

public enum CustomerRejection: Error, Sendable, Hashable {
  /// The number belongs to somebody of another name or e-mail address.
  case alreadyRegistered
  case invalid(FieldError)
}

public struct Customer: Sendable, Hashable {
  /// Nil while nobody is registered under the number.
  public var details: CustomerRegistered?
}

public enum Customers: Decider {
  public typealias State = Customer
  public typealias Command = CustomerCommand
  public typealias Event = CustomerEvent
  public typealias Rejection = CustomerRejection

  public static var category: String { "customers" }
  public static var initial: Customer { Customer() }

  public static func decide(
    _ command: CustomerCommand, _ state: Customer
  ) throws(CustomerRejection) -> [CustomerEvent] {
    switch command {
    case .register(let customer):
      do {
        try FieldError.check(
          "customer_id", customer.customerID.rawValue, in: CustomerID.range)
        try FieldError.check("name", customer.name, lengthMax: 200)
        try check(email: customer.email)
      } catch {
        throw .invalid(error)
      }
      guard let existing = state.details else { return [.registered(customer)] }
      guard existing == customer else { throw .alreadyRegistered }
      return []
    }
  }

  public static func evolve(_ state: inout Customer, _ event: CustomerEvent) {
    switch event {
    case .registered(let customer): state.details = customer
    }
  }

  // Only a message that arrives proves an address; this refuses what certainly is none.
  private static func check(email: String) throws(FieldError) {
    try FieldError.check("email", email, lengthMax: 254)
    let parts = email.split(separator: "@", omittingEmptySubsequences: false)
    let isPlausible =
      parts.count == 2 && parts.allSatisfy { !$0.isEmpty }
      && !email.contains { $0.isWhitespace }
    guard isPlausible else {
      throw FieldError("email", .invalid("must be an address such as name@example.org"))
    }
  }
}
