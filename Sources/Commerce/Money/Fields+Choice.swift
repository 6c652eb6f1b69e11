import EventSourcing

extension Fields {
  /// One of the names of a closed list; nil for missing and null.
  func choiceIfPresent<Choice: RawRepresentable<String>>(
    _ key: String
  ) throws(FieldError) -> Choice? {
    guard let text = try stringIfPresent(key) else { return nil }
    guard let choice = Choice(rawValue: text) else {
      throw FieldError(key, .invalid("\(text) is not known here"))
    }
    return choice
  }
}
