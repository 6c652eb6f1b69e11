import EventSourcing

extension Payments: SnapshottingDecider {
  public static var snapshotSchema: Int { 1 }

  public static func snapshot(of state: Payment) -> Fields {
    FieldsWriter.fields(capacity: 3) {
      if let initiated = state.initiated { $0.add("initiated", .object(initiated.fields)) }
      $0.add("status", state.status?.rawValue)
      $0.add("possibly_charged", state.possiblyCharged)
    }
  }

  public static func state(from snapshot: Fields) throws -> Payment {
    Payment(
      initiated: try snapshot.objectIfPresent("initiated").map(PaymentInitiated.init(fields:)),
      status: try snapshot.choiceIfPresent("status"),
      possiblyCharged: try snapshot.bool("possibly_charged"))
  }
}
