// Files that are cut short while they are mapped: what is gone reads as zeros, and is counted.
//
// The system answers the access to such a page with SIGBUS, which ends the process. While ranges are
// watched, a handler puts zeros in place of the rest of the range instead; the caller asks
// afterwards whether it had to, and then throws the result away. Other causes go to the handler that
// was there before.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tk {

// Watches the bytes from begin on until `unwatch_pages` is given what it returns.
int64_t watch_pages(uintptr_t begin, size_t n_bytes);

// Whether a part of the range had to be replaced so far.
bool pages_replaced(int64_t watch);

void unwatch_pages(int64_t watch);

}  // namespace tk
