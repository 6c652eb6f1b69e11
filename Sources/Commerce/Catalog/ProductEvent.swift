import EventSourcing

/// What happens to a product, in `products/<product_id>`.
public enum ProductEvent: Event, Hashable {
  case added(ProductAdded)
  case priceChanged(ProductPriceChanged)
  case retired(ProductRetired)

  public var type: String {
    switch self {
    case .added: ProductAdded.type
    case .priceChanged: ProductPriceChanged.type
    case .retired: ProductRetired.type
    }
  }

  public var data: Fields {
    switch self {
    case .added(let event): event.fields
    case .priceChanged(let event): event.fields
    case .retired(let event): event.fields
    }
  }

  public init(type: String, schema: Int, data: Fields) throws {
    switch (type, schema) {
    case (ProductAdded.type, 1): self = .added(try ProductAdded(fields: data))
    case (ProductPriceChanged.type, 1):
      self = .priceChanged(try ProductPriceChanged(fields: data))
    case (ProductRetired.type, 1): self = .retired(try ProductRetired(fields: data))
    default: throw UnknownEvent(type: type, schema: schema)
    }
  }
}

public struct ProductAdded: Sendable, Hashable {
  public static var type: String { "ProductAdded" }

  public var productID: ProductID
  public var name: String
  public var sku: String
  public var category: String?
  public var description: String?
  public var unitPrice: Money

  public init(
    productID: ProductID, name: String, sku: String, category: String? = nil,
    description: String? = nil, unitPrice: Money
  ) {
    self.productID = productID
    self.name = name
    self.sku = sku
    self.category = category
    self.description = description
    self.unitPrice = unitPrice
  }

  public init(fields: Fields) throws {
    productID = try fields.productID()
    name = try fields.string("name")
    sku = try fields.string("sku")
    category = try fields.stringIfPresent("category")
    description = try fields.stringIfPresent("description")
    unitPrice = try fields.money("unit_price")
  }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 7) {
      $0.add("product_id", productID.value)
      $0.add("name", name)
      $0.add("sku", sku)
      $0.add("category", category)
      $0.add("description", description)
      $0.add("unit_price", unitPrice)
    }
  }
}

public struct ProductPriceChanged: Sendable, Hashable {
  public static var type: String { "ProductPriceChanged" }

  public var productID: ProductID
  public var unitPrice: Money

  public init(productID: ProductID, unitPrice: Money) {
    self.productID = productID
    self.unitPrice = unitPrice
  }

  public init(fields: Fields) throws {
    productID = try fields.productID()
    unitPrice = try fields.money("unit_price")
  }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 3) {
      $0.add("product_id", productID.value)
      $0.add("unit_price", unitPrice)
    }
  }
}

public struct ProductRetired: Sendable, Hashable {
  public static var type: String { "ProductRetired" }

  public var productID: ProductID

  public init(productID: ProductID) { self.productID = productID }

  public init(fields: Fields) throws { productID = try fields.productID() }

  public var fields: Fields { ["product_id": productID.value] }
}
