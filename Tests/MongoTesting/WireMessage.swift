import Foundation

/// A message of MongoDB's wire protocol (MongoDB's documentation: "MongoDB Wire Protocol").
struct WireMessage {
  private var bytes: Data

  /// Reads the next message; nil when the connection has ended.
  init?(from socket: Int32) {
    guard let head = Socket.read(4, from: socket) else { return nil }
    bytes = head
    let length = Int(integer(at: 0))
    guard (16...48_000_000 + 16_384).contains(length),
      let rest = Socket.read(length - 4, from: socket)
    else { return nil }
    bytes += rest
  }

  var id: Int32 { integer(at: 4) }
  var answeredID: Int32 { integer(at: 8) }

  /// The first key of an `OP_MSG`'s first document: the name of the command.
  var command: String? {
    let opMessage: Int32 = 2013
    // Header 16, flags 4, kind of section 1, length of the document 4, type of the element 1.
    let start = 26
    guard integer(at: 12) == opMessage, bytes.count > start, bytes[20] == 0,
      let end = bytes[start...].firstIndex(of: 0)
    else { return nil }
    return String(decoding: bytes[start..<end], as: UTF8.self)
  }

  /// Replaces a text by one of the same length in a short message, such as the answer to `hello`.
  mutating func replace(_ old: String, with new: String) {
    precondition(old.utf8.count == new.utf8.count, "the length of a message is in its head")
    guard bytes.count < 8192 else { return }
    while let range = bytes.firstRange(of: Data(old.utf8)) {
      bytes.replaceSubrange(range, with: Data(new.utf8))
    }
  }

  func send(to socket: Int32) -> Bool { Socket.write(bytes, to: socket) }

  private func integer(at offset: Int) -> Int32 {
    bytes[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | Int32($1) }
  }
}

/// Blocking TCP sockets on 127.0.0.1.
enum Socket {
  static func listen(port: UInt16) throws -> (socket: Int32, port: UInt16) {
    let listener = make()
    var reuse: Int32 = 1
    setsockopt(
      listener, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout.size(ofValue: reuse)))
    var address = loopback(port)
    let isBound = withSocketAddress(&address) { bind(listener, $0, $1) } == 0
    guard isBound, Glibc.listen(listener, 64) == 0 else {
      defer { close(listener) }
      throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EADDRINUSE)
    }
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    _ = withSocketAddress(&address) { pointer, _ in getsockname(listener, pointer, &length) }
    return (listener, UInt16(bigEndian: address.sin_port))
  }

  static func connect(port: UInt16) -> Int32? {
    let descriptor = make()
    var address = loopback(port)
    guard withSocketAddress(&address, { Glibc.connect(descriptor, $0, $1) }) == 0 else {
      close(descriptor)
      return nil
    }
    sendAtOnce(descriptor)
    return descriptor
  }

  /// Nil when the listener was shut down.
  static func accept(_ listener: Int32) -> Int32? {
    let descriptor = Glibc.accept(listener, nil, nil)
    guard descriptor >= 0 else { return nil }
    sendAtOnce(descriptor)
    return descriptor
  }

  /// Exactly `count` bytes; nil when the connection ends before.
  static func read(_ count: Int, from descriptor: Int32) -> Data? {
    var data = Data(count: count)
    let isComplete = data.withUnsafeMutableBytes { buffer in
      var done = 0
      while done < count {
        let got = recv(descriptor, buffer.baseAddress.map { $0 + done }, count - done, 0)
        guard got > 0 else { return false }
        done += got
      }
      return true
    }
    return isComplete ? data : nil
  }

  static func write(_ data: Data, to descriptor: Int32) -> Bool {
    data.withUnsafeBytes { buffer in
      var done = 0
      while done < buffer.count {
        let sent = send(
          descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done,
          Int32(MSG_NOSIGNAL))
        guard sent > 0 else { return false }
        done += sent
      }
      return true
    }
  }

  static func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }
  static func shutDown(_ descriptor: Int32) { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
  static func shutDownWriting(_ descriptor: Int32) { _ = shutdown(descriptor, Int32(SHUT_WR)) }

  private static func make() -> Int32 { socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }

  private static func sendAtOnce(_ descriptor: Int32) {
    var on: Int32 = 1
    setsockopt(
      descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout.size(ofValue: on)))
  }

  private static func loopback(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    address.sin_port = port.bigEndian
    return address
  }

  private static func withSocketAddress(
    _ address: inout sockaddr_in, _ body: (UnsafeMutablePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }
}
