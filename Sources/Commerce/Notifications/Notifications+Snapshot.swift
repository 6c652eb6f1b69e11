import EventSourcing

extension Notifications: SnapshottingDecider {
  public static var snapshotSchema: Int { 1 }

  public static func snapshot(of state: Notification) -> Fields {
    FieldsWriter.fields(capacity: 2) {
      if let requested = state.requested { $0.add("requested", .object(requested.fields)) }
      $0.add("status", state.status?.rawValue)
    }
  }

  public static func state(from snapshot: Fields) throws -> Notification {
    Notification(
      requested: try snapshot.objectIfPresent("requested").map(NotificationRequested.init(fields:)),
      status: try snapshot.choiceIfPresent("status"))
  }
}
