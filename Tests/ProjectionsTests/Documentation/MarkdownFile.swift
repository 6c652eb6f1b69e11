import Foundation

/// A document of the repository, as far as tests hold it against the code.
struct MarkdownFile {
  static let repository = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../..").standardizedFileURL

  /// A fenced block of code.
  struct Block {
    var language: String
    var lines: [String]
    var text: String { lines.joined(separator: "\n") }
  }

  var lines: [String]

  /// - Parameter path: from the root of the repository.
  init(_ path: String) throws {
    let url = Self.repository.appending(path: path)
    let text = try String(contentsOf: url, encoding: .utf8)
    lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  private init(lines: [String]) { self.lines = lines }

  var text: String { lines.joined(separator: "\n") }

  var blocks: [Block] {
    var blocks: [Block] = []
    var open: Block?
    for line in lines {
      if line.hasPrefix("```") {
        if let block = open {
          blocks.append(block)
          open = nil
        } else {
          open = Block(language: String(line.dropFirst(3)), lines: [])
        }
      } else {
        open?.lines.append(line)
      }
    }
    return blocks
  }

  func block(_ language: String) -> Block? { blocks.first { $0.language == language } }

  /// The parts under headings of the second level whose title is a single word of code.
  var codeSections: [(name: String, body: MarkdownFile)] {
    var sections: [(name: String, body: MarkdownFile)] = []
    var name: String?
    var body: [String] = []
    for line in lines + ["## "] {
      if line.hasPrefix("## ") {
        if let name { sections.append((name, MarkdownFile(lines: body))) }
        name = line.wholeMatch(of: #/## `([^`]+)`/#).map { String($0.1) }
        body = []
      } else {
        body.append(line)
      }
    }
    return sections
  }

  /// The right cell of a table's line.
  func cell(_ name: String) -> String? {
    lines.compactMap { line in
      line.wholeMatch(of: #/\| ([^|]+) \| (.*) \|/#).flatMap { match in
        match.1 == name ? String(match.2) : nil
      }
    }.first
  }

  /// What stands in backticks.
  static func code(in text: String) -> [String] {
    text.matches(of: #/`([^`]+)`/#).map { String($0.1) }
  }
}
