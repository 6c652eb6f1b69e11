import EventSourcing

extension Customers: SnapshottingDecider {
  public static var snapshotSchema: Int { 1 }

  public static func snapshot(of state: Customer) -> Fields {
    FieldsWriter.fields(capacity: 1) {
      if let details = state.details { $0.add("details", .object(details.fields)) }
    }
  }

  public static func state(from snapshot: Fields) throws -> Customer {
    Customer(details: try snapshot.objectIfPresent("details").map(CustomerRegistered.init(fields:)))
  }
}
