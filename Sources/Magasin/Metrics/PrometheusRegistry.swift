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

  private struct Histogram {
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

  private struct State {
    var counters: [Key: Int64] = [:]
    var gauges: [Key: Double] = [:]
    var histograms: [Key: Histogram] = [:]
  }

  private let state = Mutex(State())

  func add(_ amount: Int64, to key: Key) {
    state.withLock { $0.counters[key, default: 0] += amount }
  }

  func reset(_ key: Key) { state.withLock { $0.counters[key] = 0 } }

  func set(_ key: Key, _ value: Double) { state.withLock { $0.gauges[key] = value } }

  func set(_ name: String, _ labels: [(String, String)], _ value: Double) {
    set(Key(name, labels), value)
  }

  func change(_ key: Key, by amount: Double) {
    state.withLock { $0.gauges[key, default: 0] += amount }
  }

  func observe(_ seconds: Double, in key: Key) {
    state.withLock { $0.histograms[key, default: Histogram()].record(seconds) }
  }

  /// All metrics, sorted by name.
  var text: String {
    let state = state.withLock { $0 }
    var output = ""
    Self.print(state.counters, "counter", to: &output) { $0.line(value: "\($1)") }
    Self.print(state.gauges, "gauge", to: &output) { $0.line(value: "\($1)") }
    Self.print(state.histograms, "histogram", to: &output) { key, histogram in
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
    Instrument(registry: self, key: Key(label, dimensions))
  }

  func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
    Instrument(registry: self, key: Key(label, dimensions))
  }

  func makeRecorder(
    label: String, dimensions: [(String, String)], aggregate: Bool
  ) -> any RecorderHandler {
    Instrument(registry: self, key: Key(label, dimensions))
  }

  func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
    Instrument(registry: self, key: Key(label, dimensions))
  }

  func destroyCounter(_ handler: any CounterHandler) {}
  func destroyMeter(_ handler: any MeterHandler) {}
  func destroyRecorder(_ handler: any RecorderHandler) {}
  func destroyTimer(_ handler: any TimerHandler) {}
}

/// One named series. What it means is said by the method that is called on it.
private final class Instrument: CounterHandler, MeterHandler, RecorderHandler, TimerHandler {
  private let registry: PrometheusRegistry
  private let key: PrometheusRegistry.Key

  init(registry: PrometheusRegistry, key: PrometheusRegistry.Key) {
    self.registry = registry
    self.key = key
  }

  func increment(by amount: Int64) { registry.add(amount, to: key) }
  func reset() { registry.reset(key) }
  func set(_ value: Int64) { registry.set(key, Double(value)) }
  func set(_ value: Double) { registry.set(key, value) }
  func increment(by amount: Double) { registry.change(key, by: amount) }
  func decrement(by amount: Double) { registry.change(key, by: -amount) }
  func record(_ value: Int64) { registry.set(key, Double(value)) }
  func record(_ value: Double) { registry.set(key, value) }
  func recordNanoseconds(_ duration: Int64) {
    registry.observe(Double(duration) / 1_000_000_000, in: key)
  }
}
