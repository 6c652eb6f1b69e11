import Foundation

/// A moment in UTC, to the millisecond.
public struct Timestamp: Sendable, Hashable, Comparable, CustomStringConvertible {
  public var millisecondsSinceEpoch: Int64

  public init(millisecondsSinceEpoch: Int64) {
    self.millisecondsSinceEpoch = millisecondsSinceEpoch
  }

  public static var now: Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(
      millisecondsSinceEpoch: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }

  public static func < (left: Timestamp, right: Timestamp) -> Bool {
    left.millisecondsSinceEpoch < right.millisecondsSinceEpoch
  }

  public func adding(seconds: Int64) -> Timestamp {
    Timestamp(millisecondsSinceEpoch: millisecondsSinceEpoch + seconds * 1000)
  }

  public func adding(milliseconds: Int64) -> Timestamp {
    Timestamp(millisecondsSinceEpoch: millisecondsSinceEpoch + milliseconds)
  }

  /// `2026-01-01T00:00:00.000Z`: always 24 characters, so that text sorts as time does
  /// (years 0000 to 9999).
  public var description: String { iso8601 }

  public var iso8601: String {
    let (days, millisecondsOfDay) = Self.floorDivide(millisecondsSinceEpoch, by: 86_400_000)
    let (year, month, day) = Self.civil(fromDays: days)
    let seconds = millisecondsOfDay / 1000
    let isUsual = (0...9999).contains(year)
    let text = String(unsafeUninitializedCapacity: 24) { text in
      var place = 0
      func add(_ number: Int64, digits: Int, then separator: Character) {
        var rest = number
        for digit in (0..<digits).reversed() {
          text[place + digit] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
          rest /= 10
        }
        text[place + digits] = separator.asciiValue ?? 0
        place += digits + 1
      }
      add(isUsual ? year : 0, digits: 4, then: "-")
      add(month, digits: 2, then: "-")
      add(day, digits: 2, then: "T")
      add(seconds / 3600, digits: 2, then: ":")
      add(seconds / 60 % 60, digits: 2, then: ":")
      add(seconds % 60, digits: 2, then: ".")
      add(millisecondsOfDay % 1000, digits: 3, then: "Z")
      return place
    }
    return isUsual ? text : "\(year)" + text.dropFirst(4)
  }

  /// The day in UTC, `2026-01-01`.
  public var day: String { String(iso8601.prefix(10)) }

  /// Reads `YYYY-MM-DD` (midnight UTC) and `YYYY-MM-DDTHH:MM:SS[.fraction](Z|±HH:MM)`; nil for
  /// anything else. A fraction is cut to milliseconds.
  public init?(iso8601 text: String) {
    let bytes = Array(text.utf8)
    func number(_ range: Range<Int>) -> Int64? {
      guard range.upperBound <= bytes.count else { return nil }
      var result: Int64 = 0
      for byte in bytes[range] {
        guard byte >= 48, byte <= 57 else { return nil }
        result = result * 10 + Int64(byte - 48)
      }
      return result
    }
    func isByte(_ character: Character, at index: Int) -> Bool {
      index < bytes.count && bytes[index] == character.asciiValue
    }
    guard let year = number(0..<4), isByte("-", at: 4), let month = number(5..<7),
      isByte("-", at: 7), let day = number(8..<10), (1...12).contains(month),
      (1...Self.daysIn(month: month, year: year)).contains(day)
    else { return nil }
    var milliseconds = Self.days(year: year, month: month, day: day) * 86_400_000
    if bytes.count > 10 {
      guard isByte("T", at: 10) || isByte("t", at: 10) || isByte(" ", at: 10),
        let hour = number(11..<13), isByte(":", at: 13), let minute = number(14..<16),
        isByte(":", at: 16), let second = number(17..<19), hour < 24, minute < 60, second < 60
      else { return nil }
      milliseconds += ((hour * 60 + minute) * 60 + second) * 1000
      var index = 19
      if isByte(".", at: index) {
        index += 1
        var scale: Int64 = 100
        let start = index
        while index < bytes.count, bytes[index] >= 48, bytes[index] <= 57 {
          milliseconds += Int64(bytes[index] - 48) * scale
          scale /= 10
          index += 1
        }
        if index == start { return nil }
      }
      if isByte("Z", at: index) || isByte("z", at: index) {
        index += 1
      } else if isByte("+", at: index) || isByte("-", at: index) {
        guard let hours = number(index + 1..<index + 3), isByte(":", at: index + 3),
          let minutes = number(index + 4..<index + 6), hours < 24, minutes < 60
        else { return nil }
        let offset = (hours * 60 + minutes) * 60_000
        milliseconds -= isByte("-", at: index) ? -offset : offset
        index += 6
      } else {
        return nil
      }
      guard index == bytes.count else { return nil }
    }
    self.init(millisecondsSinceEpoch: milliseconds)
  }

  private static func floorDivide(_ value: Int64, by divisor: Int64) -> (Int64, Int64) {
    let quotient = value / divisor
    let remainder = value % divisor
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
  }

  private static func daysIn(month: Int64, year: Int64) -> Int64 {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  // The proleptic Gregorian calendar counted in 400-year eras that start on 1 March.
  private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let (era, yearOfEra) = floorDivide(shifted, by: 400)
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }

  private static func civil(fromDays days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let (era, dayOfEra) = floorDivide(days + 719_468, by: 146_097)
    let yearOfEra =
      (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
  }
}
