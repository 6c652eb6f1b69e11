/// Whether somebody is waiting for what the current task does.
public enum WorkPriority {
  /// True in background work (projections, sagas, reactors): its appends let those of requests
  /// pass.
  @TaskLocal public static var isBackground = false
}
