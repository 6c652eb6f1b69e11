import CoreMetrics
import Synchronization

/// A backend of swift-metrics that keeps everything in memory and prints it in Prometheus' text
/// format (version 0.0.4).
final class PrometheusRegistry: MetricsFactory {
  static let shared = PrometheusRegistry()

  struct Key: Hashable, Comparable {
    var name: String
    /// `route="/orders",status="200"`
    var labels: String

    init(_ name: String, _ labels: [(String, String)]) {
      self.name = String(name.map { $0.isLetter || $0.isNumber || $0 == "_" ? $0 : "_" })
      self.labels = labels.map { "\($0)=\"\(Self.escaped($1))\"" }.joined(separator: ",")
    }

    private static func escaped(_ value: String) -> String {
      var text = ""
      for character in value {
        switch character {
        case "\\": text += "\\\\"
        case "\"": text += "\\\""
        case "\n": text += "\\n"
        default: text.append(character)
        }
      }
      return text
    }

    static func < (left: Key, right: Key) -> Bool {
      (left.name, left.labels) < (right.name, right.labels)
    }

    func line(_ suffix: String = "", extra: String? = nil, value: String) -> String {
      let all = [labels, extra ?? ""].filter { !$0.isEmpty }.joined(separator: ",")
      return "\(name)\(suffix)\(all.isEmpty ? "" : "{\(all)}") \(value)\n"
    }
  }

  /// One named series: a counter, a gauge or a histogram, whatever is called first. It has a lock
  /// of its own, so that counting a request touches nothing that others use.
  fileprivate final class Series: Sendable {
    enum Content {
      case counter(Int64)
      case gauge(Double)
      case histogram(Histogram)
    }

    private let content = Mutex<Content?>(nil)

    var value: Content? { content.withLock { $0 } }

    func add(_ amount: Int64) {
      content.withLock { content in
        if case .counter(let count) = content {
          content = .counter(count + amount)
        } else {
          content = .counter(amount)
        }
      }
    }

    func reset() { content.withLock { $0 = .counter(0) } }
    func set(_ value: Double) { content.withLock { $0 = .gauge(value) } }

    func change(by amount: Double) {
      content.withLock { content in
        if case .gauge(let value) = content {
          content = .gauge(value + amount)
        } else {
          content = .gauge(amount)
        }
      }
    }

    func observe(_ seconds: Double) {
      content.withLock { content in
        var histogram = Histogram()
        if case .histogram(let known) = content { histogram = known }
        content = nil
        histogram.record(seconds)
        content = .histogram(histogram)
      }
    }
  }

  fileprivate struct Histogram {
    /// Seconds.
    static let bounds = [
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
    ]
    var counts = [Int64](repeating: 0, count: bounds.count + 1)
    var sum = 0.0

    mutating func record(_ value: Double) {
      counts[Self.bounds.firstIndex { value <= $0 } ?? Self.bounds.count] += 1
      sum += value
    }
  }

  private let series = Mutex<[Key: Series]>([:])

  fileprivate func series(_ key: Key) -> Series {
    series.withLock { series in
      if let known = series[key] { return known }
      let made = Series()
      series[key] = made
      return made
    }
  }

  func set(_ name: String, _ labels: [(String, String)], _ value: Double) {
    series(Key(name, labels)).set(value)
  }

  /// Shows a metric no longer: it is for another process to tell.
  func remove(_ name: String, _ labels: [(String, String)]) {
    series.withLock { $0[Key(name, labels)] = nil }
  }

  /// All metrics, sorted by name.
  var text: String {
    var counters: [Key: Int64] = [:]
    var gauges: [Key: Double] = [:]
    var histograms: [Key: Histogram] = [:]
    for (key, one) in series.withLock({ $0 }) {
      switch one.value {
      case .counter(let count): counters[key] = count
      case .gauge(let value): gauges[key] = value
      case .histogram(let histogram): histograms[key] = histogram
      case nil: break
      }
    }
    var output = ""
    Self.print(counters, "counter", to: &output) { $0.line(value: "\($1)") }
    Self.print(gauges, "gauge", to: &output) { $0.line(value: "\($1)") }
    Self.print(histograms, "histogram", to: &output) { key, histogram in
      var lines = ""
      var total: Int64 = 0
      for (index, count) in histogram.counts.enumerated() {
        total += count
        let bound = index < Histogram.bounds.count ? "\(Histogram.bounds[index])" : "+Inf"
        lines += key.line("_bucket", extra: "le=\"\(bound)\"", value: "\(total)")
      }
      return lines + key.line("_sum", value: "\(histogram.sum)")
        + key.line("_count", value: "\(total)")
    }
    return output
  }

  private static func print<Value>(
    _ values: [Key: Value], _ type: String, to output: inout String,
    _ lines: (Key, Value) -> String
  ) {
    var name = ""
    for (key, value) in values.sorted(by: { $0.key < $1.key }) {
      if key.name != name { output += "# TYPE \(key.name) \(type)\n" }
      name = key.name
      output += lines(key, value)
    }
  }

  func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
    Instrument(series(Key(label, dimensions)))
  }

  func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
    Instrument(series(Key(label, dimensions)))
  }

  func makeRecorder(
    label: String, dimensions: [(String, String)], aggregate: Bool
  ) -> any RecorderHandler {
    Instrument(series(Key(label, dimensions)))
  }

  func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
    Instrument(series(Key(label, dimensions)))
  }

  func destroyCounter(_ handler: any CounterHandler) {}
  func destroyMeter(_ handler: any MeterHandler) {}
  func destroyRecorder(_ handler: any RecorderHandler) {}
  func destroyTimer(_ handler: any TimerHandler) {}
}

/// One named series. What it means is said by the method that is called on it.
private final class Instrument: CounterHandler, MeterHandler, RecorderHandler, TimerHandler {
  private let series: PrometheusRegistry.Series

  init(_ series: PrometheusRegistry.Series) { self.series = series }

  func increment(by amount: Int64) { series.add(amount) }
  func reset() { series.reset() }
  func set(_ value: Int64) { series.set(Double(value)) }
  func set(_ value: Double) { series.set(value) }
  func increment(by amount: Double) { series.change(by: amount) }
  func decrement(by amount: Double) { series.change(by: -amount) }
  func record(_ value: Int64) { series.set(Double(value)) }
  func record(_ value: Double) { series.set(value) }
  func recordNanoseconds(_ duration: Int64) {
    series.observe(Double(duration) / 1_000_000_000)
  }
}
