import EventSourcing

/// Why the shop as a whole refuses, before any one aggregate is asked. What an aggregate itself
/// refuses comes as its own rejection (``OrderRejection``, ``StockRejection``, …).
public enum ShopRejection: Error, Sendable, Hashable {
  case unknownProduct(ProductID)
  case retiredProduct(ProductID)
  case unknownCustomer(CustomerID)
  case unknownOrder(OrderID)
  case currencyMismatch(expected: Currency, got: Currency)
  case amountMismatch(expected: Money, got: Money)
  /// The order is being cancelled or was cancelled: it takes no payment.
  case orderNotPayable(OrderID, OrderStatus)
  case invalid(FieldError)
}
