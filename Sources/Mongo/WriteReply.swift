/// What a write did, read from the reply and not from the error alone: with write errors present,
/// libmongoc's error hides the write-concern error.
public struct WriteReply: Sendable {
  public struct WriteError: Sendable, CustomStringConvertible {
    /// The place of the document in the call, from 0.
    public var index: Int
    public var code: Int32
    /// The fields of the unique index that was violated, for a duplicate key.
    public var keyPattern: [String]
    /// For logs. Never shown to clients.
    public var message: String

    public var isDuplicateKey: Bool { [11000, 11001, 12582].contains(code) }
    public var description: String { "write \(index): \(message) (\(code))" }
  }

  public var insertedCount: Int
  public var matchedCount: Int
  public var modifiedCount: Int
  public var upsertedCount: Int
  public var deletedCount: Int
  public var writeErrors: [WriteError]
  /// The write-concern error, if any: what was written may not be durable.
  public var writeConcernError: MongoError?
  /// An error that concerns the whole call. What was written before it is not known.
  public var failure: MongoError?

  init(_ reply: BSONDocument, error: MongoError?, operation: String) {
    func count(_ element: BSONView.Element?) -> Int { Int(element?.integer ?? 0) }
    (insertedCount, matchedCount, modifiedCount, upsertedCount, deletedCount) = reply.withView {
      view in
      (
        count(view["insertedCount"]), count(view["matchedCount"]), count(view["modifiedCount"]),
        count(view["upsertedCount"]), count(view["deletedCount"])
      )
    }
    writeErrors = reply.withView { view in
      let elements = (try? view["writeErrors"]?.array?.elements()) ?? []
      return elements.compactMap { element in
        guard let document = element.document else { return nil }
        var keys: [String] = []
        try? document["keyPattern"]?.document?.visit { key, _ in
          keys.append(String(decoding: key, as: UTF8.self))
          return true
        }
        return WriteError(
          index: count(document["index"]), code: Int32(count(document["code"])), keyPattern: keys,
          message: document["errmsg"]?.string ?? "")
      }
    }
    writeConcernError = reply.withView { view in
      guard let first = (try? view["writeConcernErrors"]?.array?.elements())?.first?.document
      else { return nil }
      return MongoError(
        domain: .writeConcern, code: Int32(count(first["code"])), operation: operation,
        message: first["errmsg"]?.string ?? "")
    }
    if let error, writeErrors.isEmpty, writeConcernError == nil { failure = error }
  }

  /// Whether everything was written as durably as asked.
  public var isClean: Bool {
    failure == nil && writeErrors.isEmpty && writeConcernError == nil
  }

  /// Throws the first thing that went wrong, if any.
  public func check(operation: String) throws {
    if let failure { throw failure }
    if let error = writeErrors.first {
      throw MongoError(
        domain: .server, code: error.code, operation: operation, message: error.message)
    }
    if let writeConcernError { throw writeConcernError }
  }
}
