import CJemalloc

/// The program is linked with jemalloc, which takes the place of libc's malloc: a request goes from
/// thread to thread, and so does its memory.
enum Memory {
  /// Sees to it that freed memory goes back to the kernel also when nobody asks for more. To be
  /// called once, first thing.
  static func tune() { _ = magasin_return_memory_in_background() }
}
