import ArgumentParser

/// A part of the server that can run in a process of its own.
enum Role: String, CaseIterable, Sendable {
  case commands, queries, projections, sagas, reactors

  /// Reads `commands,queries`.
  static func parse(_ text: String) throws -> Set<Role> {
    let names = text.split(separator: ",").map { $0.trimmingPrefix { $0 == " " } }
    let roles = try names.map { name in
      guard let role = Role(rawValue: String(name)) else {
        let known = allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("There is no role '\(name)'. Roles: \(known).")
      }
      return role
    }
    guard !roles.isEmpty else { throw ValidationError("--roles names no role.") }
    return Set(roles)
  }
}
