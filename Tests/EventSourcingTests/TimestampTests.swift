import EventSourcing
import Testing

/// A text and the moment that it names.
struct TimeText: Sendable, CustomTestStringConvertible {
  var text: String
  var milliseconds: Int64

  init(_ text: String, _ milliseconds: Int64) {
    self.text = text
    self.milliseconds = milliseconds
  }

  var testDescription: String { text }
}

enum TimeTexts {
  /// As the log writes them.
  static let canonical: [TimeText] = [
    TimeText("1970-01-01T00:00:00.000Z", 0),
    TimeText("1969-12-31T23:59:59.999Z", -1),
    TimeText("2000-02-29T12:34:56.789Z", 951_827_696_789),
    TimeText("2026-01-01T00:00:00.000Z", 1_767_225_600_000),
    TimeText("0000-01-01T00:00:00.000Z", -62_167_219_200_000),
    TimeText("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
  ]

  /// As others may write 2026-01-01T00:00:00Z.
  static let sameMoment: [String] = [
    "2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01t00:00:00z", "2026-01-01 00:00:00Z",
    "2026-01-01T00:00:00.0Z", "2026-01-01T00:00:00.000999999Z", "2026-01-01T00:00:00+00:00",
    "2026-01-01T00:00:00-00:00", "2026-01-01T01:30:00+01:30", "2025-12-31T19:00:00-05:00",
    "2026-01-01T23:59:00.000+23:59",
  ]

  static let invalid: [String] = [
    "", " ", "2026", "2026-01", "2026-1-1", "26-01-01", "2026/01/01", "20260101", " 2026-01-01",
    "2026-01-01 ", "-001-01-01", "+2026-01-01", "2026-00-01", "2026-13-01", "2026-01-00",
    "2026-01-32", "2026-04-31", "2026-02-29", "2024-02-30", "1900-02-29", "2026-01-01T",
    "2026-01-01T00", "2026-01-01T00:00Z", "2026-01-01T00:00:00", "2026-01-01X00:00:00Z",
    "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z",
    "2026-01-01T0:00:00Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00,5Z",
    "2026-01-01T00:00:00.5", "2026-01-01T00:00:00ZZ", "2026-01-01T00:00:00Z ",
    "2026-01-01T00:00:00+01", "2026-01-01T00:00:00+0100", "2026-01-01T00:00:00+24:00",
    "2026-01-01T00:00:00+01:60", "2026-01-01T00:00:00+01:00Z", "today",
    "\u{FF12}\u{FF10}\u{FF12}\u{FF16}-01-01",
  ]
}

@Suite("A timestamp")
struct TimestampTests {
  @Test("is written as its 24 characters and read back", arguments: TimeTexts.canonical)
  func canonical(_ time: TimeText) {
    let timestamp = Timestamp(millisecondsSinceEpoch: time.milliseconds)
    #expect(timestamp.iso8601 == time.text)
    #expect("\(timestamp)" == time.text)
    #expect(Timestamp(iso8601: time.text) == timestamp)
    #expect(timestamp.day == String(time.text.prefix(10)))
  }

  @Test("reads offsets, fractions and plain days", arguments: TimeTexts.sameMoment)
  func otherForms(_ text: String) {
    #expect(Timestamp(iso8601: text)?.millisecondsSinceEpoch == 1_767_225_600_000)
  }

  @Test("refuses what is no time", arguments: TimeTexts.invalid)
  func invalid(_ text: String) {
    #expect(Timestamp(iso8601: text) == nil)
  }

  @Test("cuts a fraction to milliseconds")
  func fractions() {
    let expected: [(String, Int64)] = [("5", 500), ("05", 50), ("123", 123), ("9999999", 999)]
    for (fraction, milliseconds) in expected {
      let timestamp = Timestamp(iso8601: "1970-01-01T00:00:00.\(fraction)Z")
      #expect(timestamp?.millisecondsSinceEpoch == milliseconds)
    }
  }

  @Test("comes back the same through four thousand years, and text sorts as time does")
  func everyFewWeeks() {
    let first: Int64 = -62_167_219_200_000
    let last: Int64 = 64_000_000_000_000
    let step: Int64 = 17 * 86_400_000 + 12_345_679
    var before = ""
    var broken: [Int64] = []
    for milliseconds in stride(from: first, through: last, by: Int(step)) {
      let timestamp = Timestamp(millisecondsSinceEpoch: milliseconds)
      let text = timestamp.iso8601
      if Timestamp(iso8601: text) != timestamp || text.utf8.count != 24 || text <= before {
        broken.append(milliseconds)
      }
      before = text
    }
    #expect(broken.isEmpty)
  }

  @Test("every day of 1896 to 1904 and 1996 to 2004 follows the one before")
  func leapDays() {
    for (start, end) in [("1896-01-01", "1904-12-31"), ("1996-01-01", "2004-12-31")] {
      guard let first = Timestamp(iso8601: start), let last = Timestamp(iso8601: end) else {
        Issue.record("\(start) or \(end) cannot be read")
        continue
      }
      var days: Set<String> = []
      var day = first
      while day <= last {
        days.insert(day.day)
        #expect(Timestamp(iso8601: day.day) == day)
        day = day.adding(seconds: 86_400)
      }
      let isTwentiethCentury = start == "1996-01-01"
      #expect(days.contains("1900-02-29") == false)
      #expect(days.contains("2000-02-29") == isTwentiethCentury)
      #expect(days.count == (isTwentiethCentury ? 9 * 365 + 3 : 9 * 365 + 2))
    }
  }

  @Test("is ordered and moved by time")
  func arithmetic() {
    let start = Timestamp(millisecondsSinceEpoch: 1000)
    #expect(start.adding(milliseconds: 1) > start)
    #expect(start.adding(seconds: -2).millisecondsSinceEpoch == -1000)
    #expect([start.adding(seconds: 1), start].sorted().first == start)
  }

  @Test("now is between 2020 and 9999")
  func now() {
    #expect(Timestamp.now.iso8601 > "2020")
    #expect(Timestamp.now.iso8601.utf8.count == 24)
  }
}
