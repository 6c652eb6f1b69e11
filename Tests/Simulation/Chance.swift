import EventSourcing

/// What chance decides in a world, all of it drawn from the seed.
final class Chance: @unchecked Sendable {
  private var generator: SeededGenerator

  init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

  /// How often out of 1000.
  func happens(_ perMille: Int) -> Bool { perMille > 0 && number(in: 0...999) < perMille }

  func number(in range: ClosedRange<Int>) -> Int {
    Int.random(in: range, using: &generator)
  }

  func one<T>(of values: [T]) -> T { values[number(in: 0...(values.count - 1))] }

  /// Mostly short, seldom long: evenly spread over the orders of magnitude up to `longest`.
  func duration(upTo longest: Duration) -> Duration {
    var bound = longest
    for _ in 0..<number(in: 0...7) { bound = bound / 4 }
    return .milliseconds(number(in: 1...max(1, Int(bound / .milliseconds(1)))))
  }
}
