// Python binding of the CUDA kernels of parc_correlation.
#include <pybind11/stl.h>

#include <limits>
#include <tuple>
#include <vector>

#include "device/bindings_cuda.h"
#include "parc_correlation_cuda.h"

namespace tk {

namespace {

// Unit rows, class codes, and how many of the rows exist.
using Stripe = std::tuple<Address, Address, int64_t>;
// cell_of, start, shift, bits: see parc_correlation_cuda.h.
using Refinement = std::tuple<Address, Address, Address, int>;

void count(const Stripe& rows, const Stripe& columns, int64_t depth, bool diagonal, Address cells,
           const std::vector<Refinement>& refined, int bin_bits, int64_t chunk_tiles,
           Address entries, Address starts, Address counts, Address stream) {
    if (refined.size() > kMostRefined) throw py::value_error("too many levels");
    if (bin_bits < 0 || bin_bits > kMostBinBits) throw py::value_error("too many bins");
    if (depth < 1 || depth % kFeatureStep) throw py::value_error("depth is in whole steps");
    // A block counts in 32 bits.
    constexpr int64_t kPairs = int64_t{kPairTile} * kPairTile;
    if (chunk_tiles < 1 || chunk_tiles > std::numeric_limits<uint32_t>::max() / kPairs)
        throw py::value_error("chunk_tiles is out of range");
    CountPairsArgs args{};
    args.rows = pointer<const double>(std::get<0>(rows));
    args.row_codes = pointer<const int64_t>(std::get<1>(rows));
    args.n_rows = std::get<2>(rows);
    args.columns = pointer<const double>(std::get<0>(columns));
    args.column_codes = pointer<const int64_t>(std::get<1>(columns));
    args.n_columns = std::get<2>(columns);
    args.depth = depth;
    args.diagonal = diagonal;
    args.levels.cells = pointer<const int32_t>(cells);
    for (const auto& [cell_of, start, shift, bits] : refined)
        args.levels.refined[args.levels.n_refined++] = RefinedLevel{
            pointer<const int32_t>(cell_of), pointer<const int64_t>(start),
            pointer<const int32_t>(shift), bits};
    args.bin_bits = bin_bits;
    args.chunk_tiles = chunk_tiles;
    args.entries = pointer<uint16_t>(entries);
    args.starts = pointer<uint16_t>(starts);
    args.counts = pointer<unsigned long long>(counts);
    args.stream = pointer<void>(stream);
    py::gil_scoped_release release;
    count_pairs(args);
}

}  // namespace

static const Binding binding([](py::module_& module) {
    module.attr("PAIR_TILE") = kPairTile;
    module.attr("FEATURE_STEP") = kFeatureStep;
    module.attr("CELL_BITS") = kCellBits;
    module.def("digit_count", &digit_count, py::arg("bin_bits"));
    module.def("count_pairs", &count, py::arg("rows"), py::arg("columns"), py::kw_only(),
               py::arg("depth"), py::arg("diagonal"), py::arg("cells"), py::arg("refined"),
               py::arg("bin_bits"), py::arg("chunk_tiles"), py::arg("entries"), py::arg("starts"),
               py::arg("counts"), py::arg("stream"));
});

}  // namespace tk
