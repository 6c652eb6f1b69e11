import Foundation
import Testing

/// `docs/READ_MODEL.md` shows the code that the tests of the example run.
@Suite("the worked example of a read model")
struct WorkedExampleTests {
  private static let folder = "Tests/ProjectionsTests/Examples/SalesByProduct"

  private let document: MarkdownFile
  /// Lines by the name of the file.
  private let sources: [String: [String]]

  init() throws {
    document = try MarkdownFile("docs/READ_MODEL.md")
    var sources: [String: [String]] = [:]
    let folder = MarkdownFile.repository.appending(path: Self.folder)
    for file in try FileManager.default.contentsOfDirectory(
      at: folder, includingPropertiesForKeys: nil)
    {
      let name = file.lastPathComponent
      sources[name] = Self.asInModule(try MarkdownFile("\(Self.folder)/\(name)").lines)
    }
    self.sources = sources
  }

  /// The lines of a file as they would be in a folder of `projections/`, inside of the module.
  private static func asInModule(_ lines: [String]) -> [String] {
    guard let index = lines.firstIndex(of: "@testable import Projections") else { return lines }
    return Array(lines[..<index] + lines[(index + 2)...])
  }

  private var blocks: [[String]] {
    document.blocks.filter { $0.language == "swift" }.map(\.lines)
  }

  @Test("every block of Swift is an excerpt of the example, word for word")
  func blocksAreSource() {
    #expect(blocks.count >= 5)
    for block in blocks {
      let isSource = sources.values.contains { Self.contains(block, $0) }
      #expect(isSource, "not in \(Self.folder):\n\(block.joined(separator: "\n"))")
    }
  }

  @Test("every line of the row, the fold and the queries is in the document")
  func sourceIsShown() throws {
    let shown = Set(blocks.joined())
    for part in ["Row", "Projection", "Queries"] {
      let name = "SalesByProduct\(part).swift"
      for line in try #require(sources[name], "\(name) is gone") where !line.isEmpty {
        #expect(shown.contains(line), "docs/READ_MODEL.md lacks a line of \(name):\n\(line)")
      }
    }
  }

  /// Whether `block` is a stretch of `source`, which may be indented further.
  private static func contains(_ block: [String], _ source: [String]) -> Bool {
    guard let first = block.first, block.count <= source.count else { return false }
    return source.indices.dropLast(block.count - 1).contains { start in
      guard source[start].hasSuffix(first) else { return false }
      let indent = source[start].dropLast(first.count)
      guard indent.allSatisfy({ $0 == " " }) else { return false }
      return zip(source[start...], block).allSatisfy { line, shown in
        shown.isEmpty ? line.isEmpty : line == indent + shown
      }
    }
  }

  @Test("is linked from where people look for it")
  func linked() throws {
    #expect(try MarkdownFile("README.md").text.contains("docs/READ_MODEL.md"))
    #expect(try MarkdownFile("docs/ARCHITECTURE.md").text.contains("(READ_MODEL.md)"))
    #expect(try MarkdownFile("projections/README.md").text.contains("../docs/READ_MODEL.md"))
  }
}
