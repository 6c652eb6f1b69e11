import Commerce
import EventSourcing
import EventSourcingTesting
import Testing

@Suite struct ProductsTests {
  private let coffee = Samples.product()
  private let added = ProductEvent.added(Samples.product())
  private let retired = ProductEvent.retired(ProductRetired(productID: Samples.coffee))

  private func priced(_ cents: Int64) -> ProductEvent {
    .priceChanged(
      ProductPriceChanged(productID: Samples.coffee, unitPrice: Samples.cad(cents)))
  }

  @Test("a product is added with all that is known of it")
  func adds() throws {
    let product = ProductAdded(
      productID: ProductID(3), name: "Bagel", sku: "B-1", category: "food",
      description: "round", unitPrice: Money(minorUnits: 150, currency: .jpy))
    try given(Products.self).when(.add(product)).then(.added(product))
  }

  @Test("adding a product again as it was does nothing, even after its price changed")
  func addsOnce() throws {
    try given(Products.self, added).when(.add(coffee)).thenNothing()
    try given(Products.self, added, priced(250)).when(.add(coffee)).thenNothing()
  }

  @Test("a product's number is not given to another product")
  func refusesAnother() throws {
    try given(Products.self, added).when(.add(Samples.product(name: "Tea")))
      .thenRejected(.alreadyAdded)
  }

  @Test("a product's price changes")
  func changesPrice() throws {
    try given(Products.self, added).when(.changePrice(Samples.cad(250))).then(priced(250))
  }

  @Test("the price that a product has already is no change")
  func samePrice() throws {
    try given(Products.self, added).when(.changePrice(Samples.cad(199))).thenNothing()
    try given(Products.self, added, priced(250)).when(.changePrice(Samples.cad(250)))
      .thenNothing()
  }

  @Test("a retired product keeps its price")
  func retiredKeepsPrice() throws {
    try given(Products.self, added, retired).when(.changePrice(Samples.cad(250)))
      .thenRejected(.retired)
  }

  @Test("a product is retired, once")
  func retires() throws {
    try given(Products.self, added).when(.retire).then(retired)
    try given(Products.self, added, retired).when(.retire).thenNothing()
  }

  @Test("an unknown product has no price to change and cannot be retired")
  func unknown() throws {
    try given(Products.self).when(.changePrice(Samples.cad(250))).thenRejected(.unknown)
    try given(Products.self).when(.retire).thenRejected(.unknown)
  }

  @Test("a price is greater than 0")
  func refusesPrices() throws {
    let error = FieldError("unit_price", .invalid("must be greater than 0"))
    try given(Products.self).when(.add(Samples.product(price: Samples.cad(0))))
      .thenRejected(.invalid(error))
    try given(Products.self, added).when(.changePrice(Samples.cad(-1)))
      .thenRejected(.invalid(error))
  }

  @Test("a product has a number in range, a name and a sku")
  func refusesBlanks() throws {
    try given(Products.self).when(.add(Samples.product(ProductID(0))))
      .thenRejected(.invalid(FieldError("product_id", .invalid("must be from 1 to 2147483647"))))
    try given(Products.self).when(.add(Samples.product(name: "  ")))
      .thenRejected(.invalid(FieldError("name", .invalid("must not be empty"))))
    var product = Samples.product()
    product.sku = String(repeating: "x", count: 65)
    try given(Products.self).when(.add(product))
      .thenRejected(.invalid(FieldError("sku", .invalid("must not be longer than 64 bytes"))))
  }
}

@Suite struct CustomersTests {
  @Test("a customer is registered, once")
  func registers() throws {
    try given(Customers.self).when(.register(Samples.ada)).then(.registered(Samples.ada))
    try given(Customers.self, .registered(Samples.ada)).when(.register(Samples.ada))
      .thenNothing()
  }

  @Test("a customer's number is not given to somebody else")
  func refusesAnother() throws {
    var bob = Samples.ada
    bob.name = "Bob"
    try given(Customers.self, .registered(Samples.ada)).when(.register(bob))
      .thenRejected(.alreadyRegistered)
  }

  @Test(
    "what cannot be an e-mail address is refused",
    arguments: ["ada", "@example.org", "ada@", "a@b@c", "a da@example.org"])
  func refusesEmail(email: String) throws {
    var customer = Samples.ada
    customer.email = email
    try given(Customers.self).when(.register(customer)).thenRejected(
      .invalid(FieldError("email", .invalid("must be an address such as name@example.org"))))
  }

  @Test("a customer has a number in range and a name")
  func refusesBlanks() throws {
    var customer = Samples.ada
    customer.name = ""
    try given(Customers.self).when(.register(customer))
      .thenRejected(.invalid(FieldError("name", .invalid("must not be empty"))))
    customer = Samples.ada
    customer.customerID = CustomerID(-1)
    try given(Customers.self).when(.register(customer)).thenRejected(
      .invalid(FieldError("customer_id", .invalid("must be from 1 to 2147483647"))))
  }
}
