import EventSourcing
import Foundation
import SimulationRuntime

/// Runs worlds, and says which seeds break a rule: see `scripts/simulate --help`.
///
/// Worlds run one after the other in a process of their own kind: hashes, clocks and threads are
/// the same in each of them. This one starts those, and gathers what they say.
enum SimulateCommand {
  private struct Options {
    var seeds = 1000
    var from: UInt64 = 1
    var jobs = ProcessInfo.processInfo.activeProcessorCount
    var seed: UInt64?
    var hasTrace = false
    var isWorker = false
    var failuresMax = 10
    var hasStatistics = false
  }

  private static let usage =
    "usage: simulate [--seeds N] [--from S] [--jobs J] [--failures N] [--statistics]\n"
    + "       simulate --seed S [--trace]"

  static func run(_ arguments: [String]) -> Int32 {
    guard let options = parse(arguments) else {
      FileHandle.standardError.write(Data((usage + "\n").utf8))
      return 2
    }
    if options.isWorker { return work(options) }
    return gather(options)
  }

  private static func parse(_ arguments: [String]) -> Options? {
    var options = Options()
    var rest = arguments[...]
    while let name = rest.popFirst() {
      switch name {
      case "--trace": options.hasTrace = true
      case "--worker": options.isWorker = true
      case "--statistics": options.hasStatistics = true
      case "--seeds", "--from", "--jobs", "--failures", "--seed":
        guard let text = rest.popFirst(), let number = UInt64(text), number < 1 << 62 else {
          return nil
        }
        switch name {
        case "--seeds": options.seeds = Int(number)
        case "--from": options.from = number
        case "--jobs": options.jobs = max(1, min(64, Int(number)))
        case "--failures": options.failuresMax = max(1, Int(number))
        default: options.seed = number
        }
      default: return nil
      }
    }
    if let seed = options.seed {
      options.from = seed
      options.seeds = 1
      options.jobs = 1
    }
    return options
  }

  // MARK: The process that works

  private static func work(_ options: Options) -> Int32 {
    Scheduler.takeOver()
    var types: [String: Int] = [:]
    defer { for (type, count) in types { print("type \(type) \(count)") } }
    for seed in options.from..<options.from + UInt64(options.seeds) {
      let line = "FAILED seed \(seed): the process was killed by a fault of its own\n"
      let lastWords = strdup(line)
      simulation_print_when_killed(lastWords)
      let world = World(
        seed: seed, trace: options.hasTrace ? { line in print(line) } : nil)
      let violation = world.run()
      simulation_print_when_killed(nil)
      free(lastWords)
      if let violation {
        print("FAILED seed \(seed): \(violation.invariant): \(violation.what)")
        return 1
      }
      print("ok \(seed) \(world.events.count) \(world.scheduler.steps)")
      if options.hasStatistics { for event in world.events { types[event.type, default: 0] += 1 } }
    }
    return 0
  }

  // MARK: The process that gathers

  /// Seeds that a worker runs before a new one takes its place.
  private static let chunk = 500

  private static func gather(_ options: Options) -> Int32 {
    let begun = Date()
    let progress = Progress(
      next: options.from, end: options.from + UInt64(options.seeds),
      failuresMax: options.failuresMax)
    let threads = (0..<min(options.jobs, options.seeds)).map { _ in
      let thread = Thread {
        while let (from, count) = progress.take(chunk) { worker(from, count, options, progress) }
        progress.leave()
      }
      progress.enter()
      thread.start()
      return thread
    }
    progress.waitForAll()
    withExtendedLifetime(threads) {}
    let seconds = Date().timeIntervalSince(begun)
    let (done, events, steps, failures) = progress.totals
    for failure in failures {
      print("simulate: \(failure.line)")
      print("  again: scripts/simulate --seed \(failure.seed) --trace")
    }
    for (type, count) in progress.countsByType { print("simulate: \(count) \(type)") }
    let rate = Int(Double(done) / max(seconds, 0.001))
    print(
      "simulate: \(done) seeds from \(options.from), \(events) events, \(steps) steps, "
        + "\(Int(seconds)) s, \(rate) seeds/s, \(failures.count) failed")
    return failures.isEmpty && done == options.seeds ? 0 : 1
  }

  private static func worker(
    _ from: UInt64, _ count: Int, _ options: Options, _ progress: Progress
  ) {
    let process = Process()
    process.executableURL = Bundle.main.executableURL
    process.arguments =
      ["--worker", "--from", "\(from)", "--seeds", "\(count)"]
      + (options.hasTrace ? ["--trace"] : []) + (options.hasStatistics ? ["--statistics"] : [])
    var environment = ProcessInfo.processInfo.environment
    environment["SWIFT_DETERMINISTIC_HASHING"] = "1"
    environment["SWIFT_BACKTRACE"] = "enable=no"
    process.environment = environment
    let output = Pipe()
    process.standardOutput = output
    do {
      try process.run()
    } catch {
      return progress.fail(from, "FAILED seed \(from): no worker: \(error)")
    }
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    var last = from
    var hasFailed = false
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ", maxSplits: 3)
      if words.count == 4, words[0] == "ok", let seed = UInt64(words[1]) {
        last = seed + 1
        progress.add(events: Int(words[2]) ?? 0, steps: Int(words[3]) ?? 0)
      } else if words.count == 3, words[0] == "type" {
        progress.add(Int(words[2]) ?? 0, of: String(words[1]))
      } else if line.hasPrefix("FAILED seed ") {
        hasFailed = true
        progress.fail(last, String(line))
      } else if options.hasTrace {
        print(line)
      }
    }
    if process.terminationStatus != 0, !hasFailed {
      progress.fail(last, "FAILED seed \(last): exit status \(process.terminationStatus)")
    }
    // The rest of the chunk.
    let done = Int(last - from) + (hasFailed || process.terminationStatus != 0 ? 1 : 0)
    if done < count, done > 0, !progress.isFull {
      worker(from + UInt64(done), count - done, options, progress)
    }
  }
}

/// What the workers have done so far.
private final class Progress: @unchecked Sendable {
  struct Failure {
    var seed: UInt64
    var line: String
  }

  private let condition = NSCondition()
  private var next: UInt64
  private let end: UInt64
  private let failuresMax: Int
  private var atWork = 0
  private var done = 0
  private var events = 0
  private var steps = 0
  private var types: [String: Int] = [:]
  private var failures: [Failure] = []

  init(next: UInt64, end: UInt64, failuresMax: Int) {
    self.next = next
    self.end = end
    self.failuresMax = failuresMax
  }

  private func locked<T>(_ body: () -> T) -> T {
    condition.lock()
    defer { condition.unlock() }
    return body()
  }

  var totals: (done: Int, events: Int, steps: Int, failures: [Failure]) {
    locked { (done, events, steps, failures.sorted { $0.seed < $1.seed }) }
  }

  var isFull: Bool { locked { failures.count >= failuresMax } }

  /// The seeds that somebody runs next; nil when there are no more.
  func take(_ count: Int) -> (from: UInt64, count: Int)? {
    locked {
      guard next < end, failures.count < failuresMax else { return nil }
      let from = next
      next = min(end, next + UInt64(count))
      return (from, Int(next - from))
    }
  }

  func add(events: Int, steps: Int) {
    locked {
      done += 1
      self.events += events
      self.steps += steps
    }
  }

  func add(_ count: Int, of type: String) { locked { types[type, default: 0] += count } }

  var countsByType: [(type: String, count: Int)] {
    locked { types.map { ($0.key, $0.value) }.sorted { ($1.1, $0.0) < ($0.1, $1.0) } }
  }

  func fail(_ seed: UInt64, _ line: String) {
    locked {
      done += 1
      failures.append(Failure(seed: seed, line: line))
    }
  }

  func enter() { locked { atWork += 1 } }

  func leave() {
    locked {
      atWork -= 1
      condition.broadcast()
    }
  }

  func waitForAll() {
    condition.lock()
    while atWork > 0 { condition.wait() }
    condition.unlock()
  }
}
