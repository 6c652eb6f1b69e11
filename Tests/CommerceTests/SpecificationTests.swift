import Commerce
import EventSourcing
import EventSourcingTesting
import Testing

/// A specification that cannot fail proves nothing.
@Suite struct SpecificationTests {
  private let added = ProductEvent.added(Samples.product())

  @Test("other events, a missing event and a missing rejection fail a specification")
  func fails() {
    #expect(throws: SpecificationFailure.self) {
      try given(Products.self).when(.add(Samples.product(name: "Tea"))).then(added)
    }
    #expect(throws: SpecificationFailure.self) {
      try given(Products.self, added).when(.add(Samples.product())).then(added)
    }
    #expect(throws: SpecificationFailure.self) {
      try given(Products.self).when(.add(Samples.product())).thenNothing()
    }
    #expect(throws: SpecificationFailure.self) {
      try given(Products.self).when(.retire).thenNothing()
    }
    #expect(throws: SpecificationFailure.self) {
      try given(Products.self).when(.retire).thenRejected(.retired)
    }
    #expect(throws: SpecificationFailure.self) {
      try given(Products.self, added).when(.retire).thenRejected(.retired)
    }
  }

  @Test("a failure tells the story")
  func describes() throws {
    let failure = #expect(throws: SpecificationFailure.self) {
      try given(Products.self, added).when(.changePrice(Samples.cad(5))).thenRejected(.retired)
    }
    let text = try #require(failure).description
    #expect(text.contains("given \n  ProductAdded {\"product_id\":1,\"name\":\"Coffee\""))
    #expect(text.contains("when changePrice"))
    #expect(text.contains("expected the rejection retired"))
    #expect(text.contains("but got \n  ProductPriceChanged"))
  }
}
