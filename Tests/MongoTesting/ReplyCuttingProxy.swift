import Foundation
import Synchronization

/// A proxy between clients and one mongod that cuts, holds and refuses.
///
/// It forwards whole messages of MongoDB's wire protocol, so that a fault meets exactly one request
/// or one reply. Where the server names its own address the proxy puts its own: clients take it for
/// the replica set's only member and never go round it. Faults that are injected while others are
/// there come after them.
public final class ReplyCuttingProxy: Sendable {
  public struct Fault: Sendable {
    public enum Stage: Sendable {
      /// On the way to the server, which has not seen it.
      case request
      /// On the way back: the server has done what was asked.
      case reply
    }

    public enum Action: Sendable {
      /// The connection is closed, at both ends.
      case cut
      /// The message waits for `heal`, and is delivered then, though the other end may be gone.
      case hold
    }

    public var action: Action
    public var stage: Stage
    /// The command that it meets, as in `insert`; nil for every message.
    public var command: String?
    public var times: Int

    public init(_ action: Action, _ stage: Stage, of command: String? = nil, times: Int = .max) {
      self.action = action
      self.stage = stage
      self.command = command
      self.times = times
    }
  }

  private struct State {
    var listener: Int32?
    var faults: [Fault] = []
    var struck = 0
    /// Counts the healings: what was held before one goes on after it.
    var healings = 0
    var connections: [ObjectIdentifier: ProxiedConnection] = [:]
    var isClosed = false
  }

  public let port: UInt16
  private let serverPort: UInt16
  private let state = Mutex(State())

  /// Listens on a free port of this machine for the mongod at `127.0.0.1:serverPort`.
  public init(serverPort: UInt16) throws {
    let (listener, port) = try Socket.listen(port: 0)
    self.serverPort = serverPort
    self.port = port
    state.withLock { $0.listener = listener }
    accept(on: listener)
  }

  /// Messages that a fault has met so far.
  public var struck: Int { state.withLock { $0.struck } }

  public func inject(_ fault: Fault) { state.withLock { $0.faults.append(fault) } }

  /// Ends every fault; what is held goes on.
  public func heal() {
    state.withLock { state in
      state.faults = []
      state.healings += 1
    }
  }

  /// Closes every client's connection and takes no new one, as if nothing listened. What is held
  /// stays held.
  public func refuse() {
    let (listener, connections) = state.withLock { state in
      defer { state.listener = nil }
      return (state.listener, Array(state.connections.values))
    }
    if let listener { Socket.shutDown(listener) }
    for connection in connections { Socket.shutDown(connection.client) }
  }

  /// Takes connections again after `refuse`.
  public func admit() throws {
    let (listener, _) = try Socket.listen(port: port)
    state.withLock { $0.listener = listener }
    accept(on: listener)
  }

  /// Ends the proxy and every connection.
  public func close() {
    refuse()
    let connections = state.withLock { state in
      state.isClosed = true
      state.healings += 1
      return Array(state.connections.values)
    }
    for connection in connections { connection.cut() }
  }

  private func accept(on listener: Int32) {
    Thread.detachNewThread {
      while let client = Socket.accept(listener) {
        guard let server = Socket.connect(port: self.serverPort) else {
          Socket.close(client)
          continue
        }
        self.serve(ProxiedConnection(client: client, server: server))
      }
      Socket.close(listener)
    }
  }

  private func serve(_ connection: ProxiedConnection) {
    let isTaken = state.withLock { state in
      guard !state.isClosed else { return false }
      state.connections[ObjectIdentifier(connection)] = connection
      return true
    }
    guard isTaken else { return }
    Thread.detachNewThread { self.forwardRequests(connection) }
    Thread.detachNewThread {
      self.forwardReplies(connection)
      self.state.withLock { _ = $0.connections.removeValue(forKey: ObjectIdentifier(connection)) }
    }
  }

  private func forwardRequests(_ connection: ProxiedConnection) {
    while let message = WireMessage(from: connection.client) {
      connection.note(message)
      guard admits(message.command, .request), message.send(to: connection.server) else {
        return connection.cut()
      }
    }
    // The server still gets to answer, and to do, what it was asked.
    Socket.shutDownWriting(connection.server)
  }

  private func forwardReplies(_ connection: ProxiedConnection) {
    while var message = WireMessage(from: connection.server) {
      let command = connection.command(answeredBy: message)
      message.replace("127.0.0.1:\(serverPort)", with: "127.0.0.1:\(port)")
      guard admits(command, .reply), message.send(to: connection.client) else { break }
    }
    connection.cut()
  }

  /// Blocks while the message is held; false when its connection has to be cut.
  private func admits(_ command: String?, _ stage: Fault.Stage) -> Bool {
    let (action, healings) = state.withLock { state -> (Fault.Action?, Int) in
      let match = state.faults.firstIndex { fault in
        fault.stage == stage && (fault.command == nil || fault.command == command)
      }
      guard let match else { return (nil, state.healings) }
      state.struck += 1
      state.faults[match].times -= 1
      let action = state.faults[match].action
      if state.faults[match].times == 0 { state.faults.remove(at: match) }
      return (action, state.healings)
    }
    switch action {
    case nil: return true
    case .cut: return false
    case .hold:
      while state.withLock({ $0.healings }) == healings { usleep(2000) }
      return true
    }
  }
}

/// A client's connection and the one to the server that belongs to it.
private final class ProxiedConnection: Sendable {
  let client: Int32
  let server: Int32
  private let asked = Mutex<[Int32: String]>([:])

  init(client: Int32, server: Int32) {
    self.client = client
    self.server = server
  }

  deinit {
    Socket.close(client)
    Socket.close(server)
  }

  func note(_ request: WireMessage) {
    guard let command = request.command else { return }
    asked.withLock { $0[request.id] = command }
  }

  func command(answeredBy reply: WireMessage) -> String? {
    asked.withLock { $0.removeValue(forKey: reply.answeredID) }
  }

  func cut() {
    Socket.shutDown(client)
    Socket.shutDown(server)
  }
}
