import Foundation

/// One line on the terminal that is written over: how far, how fast, how long yet. Nothing at all
/// when standard error is no terminal.
final class ProgressLine {
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private let start = ContinuousClock.now
  private var shown: ContinuousClock.Instant?

  /// Shows that `done` of `total` are done, `counted` of them since the start. At most five times
  /// a second.
  func show(done: Int64, of total: Int64?, counted: Int64) {
    let now = ContinuousClock.now
    guard isTerminal, shown.map({ now - $0 > .milliseconds(200) }) ?? true else { return }
    shown = now
    write(Self.text(done: done, of: total, counted: counted, in: (now - start) / .seconds(1)))
  }

  func clear() { if shown != nil { write("") } }

  static func text(done: Int64, of total: Int64?, counted: Int64, in seconds: Double) -> String {
    let rate = seconds > 0 ? Double(counted) / seconds : 0
    var text = "at position \(done)"
    if let total, total > 0 {
      text += " of \(total), \(Int(100 * Double(done) / Double(total))) %"
    }
    text += ", \(Int(rate)) events/s"
    if let total, rate > 0 {
      let left = Int((Double(total - done) / rate).rounded(.up))
      text += left < 60 ? ", \(left) s left" : ", \(left / 60) min \(left % 60) s left"
    }
    return text
  }

  private func write(_ text: String) {
    FileHandle.standardError.write(Data("\r\u{1B}[K\(text)".utf8))
  }
}
