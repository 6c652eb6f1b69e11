/// Whether somebody is waiting for what the current task does.
public enum WorkPriority {
  /// True in background work (projections, sagas, reactors): its appends have a line of their own,
  /// and let those of requests pass when there are very many.
  @TaskLocal public static var isBackground = false
}

/// How much is appended, over a moment: what work that can wait gives way to.
public enum AppendPressure: Sendable {
  /// Many appends are under way at a time, whoever asked for them: who only derives from the log
  /// takes more of it at a time, and less often.
  case many
  /// Far more requests come in than their consequences can be carried out: orders are taken now and
  /// worked off afterwards.
  case flood
}
