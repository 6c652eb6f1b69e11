import EventSourcing

extension Orders: SnapshottingDecider {
  public static var snapshotSchema: Int { 2 }

  public static func snapshot(of state: Order) -> Fields {
    FieldsWriter.fields(capacity: 4) {
      if let initiated = state.initiated { $0.add("initiated", .object(initiated.fields)) }
      $0.add("status", state.status?.rawValue)
      $0.add("was_confirmed", state.wasConfirmed)
      $0.add("sold", .array(state.sold.map { .object($0.fields) }))
    }
  }

  public static func state(from snapshot: Fields) throws -> Order {
    let initiated = try snapshot.objectIfPresent("initiated").map(OrderInitiated.init(fields:))
    return Order(
      initiated: initiated, status: try snapshot.choiceIfPresent("status"),
      wasConfirmed: try snapshot.bool("was_confirmed"),
      sold: try snapshot.objects("sold") {
        try OrderItem(fields: $0, currency: initiated?.total.currency ?? .cad)
      })
  }
}
