import EventSourcing

extension Orders: SnapshottingDecider {
  public static var snapshotSchema: Int { 1 }

  public static func snapshot(of state: Order) -> Fields {
    FieldsWriter.fields(capacity: 3) {
      if let initiated = state.initiated { $0.add("initiated", .object(initiated.fields)) }
      $0.add("status", state.status?.rawValue)
      $0.add("was_confirmed", state.wasConfirmed)
    }
  }

  public static func state(from snapshot: Fields) throws -> Order {
    Order(
      initiated: try snapshot.objectIfPresent("initiated").map(OrderInitiated.init(fields:)),
      status: try snapshot.choiceIfPresent("status"),
      wasConfirmed: try snapshot.bool("was_confirmed"))
  }
}
