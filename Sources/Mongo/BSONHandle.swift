import CMongoC

/// Memory for one `bson_t` that libmongoc fills in: a reply.
struct BSONReply: ~Copyable {
  let pointer: OpaquePointer
  private let memory: UnsafeMutableRawPointer

  init() {
    memory = .allocate(byteCount: magasin_bson_size(), alignment: magasin_bson_alignment())
    pointer = OpaquePointer(memory)
    bson_init(pointer)
  }

  deinit {
    bson_destroy(pointer)
    memory.deallocate()
  }

  var copied: BSONDocument { BSONDocument(copying: pointer) }
}

/// `bson_t` headers over documents' own bytes, so that sending copies nothing.
struct BSONHeaders: ~Copyable {
  private let memory: UnsafeMutableRawPointer
  private let stride: Int
  let pointers: [OpaquePointer?]

  /// The documents' bytes must outlive the headers: use only inside ``BSONDocument/withHeaders``.
  fileprivate init(_ buffers: [UnsafeBufferPointer<UInt8>]) throws {
    stride = max(magasin_bson_size(), magasin_bson_alignment())
    memory = .allocate(
      byteCount: stride * max(buffers.count, 1), alignment: magasin_bson_alignment())
    var pointers: [OpaquePointer?] = []
    pointers.reserveCapacity(buffers.count)
    var isReadable = true
    for (index, buffer) in buffers.enumerated() {
      let pointer = OpaquePointer(memory + index * stride)
      isReadable = bson_init_static(pointer, buffer.baseAddress, buffer.count) && isReadable
      pointers.append(pointer)
    }
    self.pointers = pointers
    guard isReadable else {
      throw MongoError(
        domain: .client, code: 0, operation: "encode", message: "a document is not valid BSON")
    }
  }

  deinit { memory.deallocate() }
}

extension BSONDocument {
  init(copying pointer: OpaquePointer) {
    let buffer = UnsafeRawBufferPointer(
      start: bson_get_data(pointer), count: Int(magasin_bson_length(pointer)))
    self.init(bytes: Array(buffer))
  }

  /// Calls `body` with a `bson_t` over these bytes.
  func withPointer<Result>(_ body: (OpaquePointer) throws -> Result) throws -> Result {
    try Self.withHeaders([self]) { pointers in
      guard let pointer = pointers[0] else { preconditionFailure("a header has an address") }
      return try body(pointer)
    }
  }

  /// Calls `body` with a `bson_t` over the bytes of each document.
  static func withHeaders<Result>(
    _ documents: [BSONDocument], _ body: ([OpaquePointer?]) throws -> Result
  ) throws -> Result {
    guard documents.allSatisfy(\.isValid) else {
      throw MongoError(
        domain: .client, code: 0, operation: "encode", message: "a key holds a NUL")
    }
    // Arrays are heap objects with stable storage while they are retained by `documents`.
    return try withExtendedLifetime(documents) {
      let buffers = documents.map { document in document.bytes.withUnsafeBufferPointer { $0 } }
      let headers = try BSONHeaders(buffers)
      return try body(headers.pointers)
    }
  }
}

extension MongoError {
  init(_ error: bson_error_t, reply: BSONDocument? = nil, operation: String) {
    let domain: Domain
    switch error.domain {
    case UInt32(MONGOC_ERROR_SERVER_SELECTION.rawValue), UInt32(MONGOC_ERROR_POOL.rawValue):
      domain = .notSent
    case UInt32(MONGOC_ERROR_STREAM.rawValue), UInt32(MONGOC_ERROR_PROTOCOL.rawValue),
      UInt32(MONGOC_ERROR_SASL.rawValue), UInt32(MONGOC_ERROR_SCRAM.rawValue):
      domain = .network
    case UInt32(MONGOC_ERROR_WRITE_CONCERN.rawValue): domain = .writeConcern
    case UInt32(MONGOC_ERROR_SERVER.rawValue): domain = .server
    default: domain = .client
    }
    var error = error
    let message = withUnsafePointer(to: &error.message) { tuple in
      tuple.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: tuple.pointee)) {
        String(cString: $0)
      }
    }
    let labels = reply?.withView { view in
      (try? view["errorLabels"]?.array?.elements().compactMap(\.string)) ?? []
    }
    self.init(
      domain: domain, code: Int32(truncatingIfNeeded: error.code), labels: labels ?? [],
      operation: operation, message: message)
  }
}
