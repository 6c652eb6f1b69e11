import EventSourcing

/// All traces of a log, in partitions by key: in memory up to a bound, beyond it in a file. The
/// rules that need the whole log are then checked partition by partition.
///
/// Memory: ``heldMax`` traces of 32 bytes, and one partition for each worker, a 256th of all.
/// A log of one-event commits has two traces an event.
struct TraceStore: Sendable {
  static let partitions = 256
  static let heldMax = 3_000_000

  private var held = [[Trace]](repeating: [], count: partitions)
  private var heldCount = 0
  private var file: TraceFile?
  private var runs: [TraceFile.Run] = []
  private let heldMax: Int

  init(heldMax: Int = Self.heldMax) { self.heldMax = heldMax }

  /// Goes on with the first `length` bytes of a file.
  init(file: TraceFile, length: Int, heldMax: Int = Self.heldMax) throws {
    self.heldMax = heldMax
    self.file = file
    runs = try file.runs(partitions: Self.partitions, length: length)
  }

  /// Bytes in the file.
  var length: Int { runs.last?.end ?? 0 }

  mutating func add(_ traces: [Trace]) throws {
    for trace in traces { held[trace.partition(of: Self.partitions)].append(trace) }
    heldCount += traces.count
    if heldCount > heldMax { try flush(isDurable: false) }
  }

  /// Writes what is held to the file.
  mutating func flush(isDurable: Bool) throws {
    guard heldCount > 0 else {
      if isDurable { try file?.synchronize() }
      return
    }
    let file = try file ?? TraceFile.anonymous()
    self.file = file
    runs.append(try file.append(held, at: length, isDurable: isDurable))
    for index in held.indices { held[index].removeAll(keepingCapacity: true) }
    heldCount = 0
  }

  /// The traces at the lowest position that break a rule; empty when none does.
  func firstBreaks(workers: Int) async throws -> [Trace.Break] {
    try await withThrowingTaskGroup(of: [Trace.Break].self) { group in
      var breaks: [Trace.Break] = []
      for partition in 0..<Self.partitions {
        if partition >= workers, let found = try await group.next() {
          for found in found { Trace.keep(found, among: &breaks) }
        }
        group.addTask { Trace.firstBreaks(among: try traces(of: partition)) }
      }
      for try await found in group { for found in found { Trace.keep(found, among: &breaks) } }
      return breaks
    }
  }

  private func traces(of partition: Int) throws -> [Trace] {
    var traces: [Trace] = []
    traces.reserveCapacity(
      runs.reduce(held[partition].count) { $0 + Int($1.counts[partition]) })
    if let file {
      for run in runs { traces += try file.traces(ofPartition: partition, in: run) }
    }
    traces += held[partition]
    return traces
  }
}
