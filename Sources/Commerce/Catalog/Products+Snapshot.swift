import EventSourcing

extension Products: SnapshottingDecider {
  public static var snapshotSchema: Int { 1 }

  public static func snapshot(of state: Product) -> Fields {
    FieldsWriter.fields(capacity: 3) {
      if let details = state.details { $0.add("details", .object(details.fields)) }
      if let price = state.firstPrice {
        $0.add("first_price", .object(FieldsWriter.fields(capacity: 2) { $0.add("amount", price) }))
      }
      $0.add("is_retired", state.isRetired)
    }
  }

  public static func state(from snapshot: Fields) throws -> Product {
    Product(
      details: try snapshot.objectIfPresent("details").map(ProductAdded.init(fields:)),
      firstPrice: try snapshot.objectIfPresent("first_price").map { try $0.money("amount") },
      isRetired: try snapshot.bool("is_retired"))
  }
}
