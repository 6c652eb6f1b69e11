import EventSourcing

public enum ProductCommand: Sendable, Hashable {
  case add(ProductAdded)
  case changePrice(Money)
  case retire
}

public enum ProductRejection: Error, Sendable, Hashable {
  case unknown
  /// The product exists with another name, sku, category or description.
  case alreadyAdded
  case retired
  case invalid(FieldError)
}

/// A product as far as decisions need it.
public struct Product: Sendable, Hashable {
  /// As it was added, with the price of today; nil while the product is unknown.
  public var details: ProductAdded?
  /// The price that it was added with.
  public var firstPrice: Money?
  public var isRetired = false
}

/// The catalogue: one product a stream.
public enum Products: Decider {
  public typealias State = Product
  public typealias Command = ProductCommand
  public typealias Event = ProductEvent
  public typealias Rejection = ProductRejection

  public static var category: String { "products" }
  public static var initial: Product { Product() }

  public static func decide(
    _ command: ProductCommand, _ state: Product
  ) throws(ProductRejection) -> [ProductEvent] {
    switch command {
    case .add(let product):
      try check(product)
      guard var existing = state.details else { return [.added(product)] }
      if let firstPrice = state.firstPrice { existing.unitPrice = firstPrice }
      guard existing == product else { throw .alreadyAdded }
      return []

    case .changePrice(let price):
      guard let product = state.details else { throw .unknown }
      guard !state.isRetired else { throw .retired }
      try check(price)
      if product.unitPrice == price { return [] }
      return [
        .priceChanged(ProductPriceChanged(productID: product.productID, unitPrice: price))
      ]

    case .retire:
      guard let product = state.details else { throw .unknown }
      if state.isRetired { return [] }
      return [.retired(ProductRetired(productID: product.productID))]
    }
  }

  public static func evolve(_ state: inout Product, _ event: ProductEvent) {
    switch event {
    case .added(let product):
      state.details = product
      state.firstPrice = product.unitPrice
    case .priceChanged(let change): state.details?.unitPrice = change.unitPrice
    case .retired: state.isRetired = true
    }
  }

  private static func check(_ product: ProductAdded) throws(ProductRejection) {
    do {
      try FieldError.check("product_id", product.productID.rawValue, in: ProductID.range)
      try FieldError.check("name", product.name, lengthMax: 200)
      try FieldError.check("sku", product.sku, lengthMax: 64)
      if let category = product.category {
        try FieldError.check("category", category, lengthMax: 100)
      }
      if let description = product.description {
        try FieldError.check("description", description, lengthMax: 2000)
      }
    } catch {
      throw .invalid(error)
    }
    try check(product.unitPrice)
  }

  private static func check(_ price: Money) throws(ProductRejection) {
    guard price.minorUnits > 0 else {
      throw .invalid(FieldError("unit_price", .invalid("must be greater than 0")))
    }
  }
}
