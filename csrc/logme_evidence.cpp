// Fixed point and log evidence of every LogME target; see kernels/logme_evidence/__init__.py.
//
// The Gram matrix is reduced to a band once, and the moments with it. After that each step of a
// target is one factorisation of the band plus t I, several targets side by side in a vector; the
// terms that depend on t alone come from a table that the targets share.
#include "logme_evidence.h"

#include "band_reduction.h"
#include "banded_ldlt.h"
#include "buffer.h"
#include "parallel.h"
#include "spectrum_table.h"

namespace tk {
namespace TK_ISA {

namespace {

constexpr int64_t kSmall = 192;  // size below which threads cost more than they bring

class Fit {
public:
    Fit(const EvidenceArgs& args, const BandReduction& reduction, int n_threads)
        : args_(args),
          band_(reduction.band()),
          reduction_(reduction),
          largest_(1.0 / args.smallest_precision),
          table_(band_, largest_ * largest_),
          queue_(args.n_targets),
          scratch_size_(2 * factor_vectors(band_) + factor_columns(band_)),
          scratch_(n_threads * scratch_size_) {}

    // What each member of the team does: a target in every lane, the next one when it is done.
    void run(Member member) {
        VecD* scratch = scratch_.data() + member.rank * scratch_size_;
        Target targets[kLanes];
        const int lanes = args_.warm_start ? 1 : kLanes;
        while (true) {
            int n_active = 0;
            for (int lane = 0; lane < lanes; ++lane) {
                if (targets[lane].index < 0) start(targets[lane]);
                n_active += targets[lane].index >= 0;
            }
            if (n_active == 0) return;
            solve(targets, scratch);
            for (Target& target : targets)
                if (target.index >= 0 && update(target, scratch)) conclude(target, scratch);
        }
    }

private:
    struct Target {
        int64_t index = -1, rounds = 0;
        double alpha = 1.0, beta = 1.0, ratio = 1.0, norm = 0.0, residual = 0.0;
    };

    void start(Target& target) {
        const Target previous = target;
        target = Target{};
        target.index = queue_.next();
        if (args_.warm_start) {
            target.alpha = previous.alpha;
            target.beta = previous.beta;
        }
    }

    // m.m and |y - F m|^2 of the weights m at the present alpha and beta.
    void solve(Target* targets, VecD* scratch) {
        VecD* const vectors = scratch + 2 * factor_vectors(band_);
        VecD t;
        for (int lane = 0; lane < kLanes; ++lane)
            t[lane] = targets[lane].alpha / targets[lane].beta;
        const int64_t n_columns = factor_columns(band_);
        for (int64_t i = 0; i < n_columns; ++i) vectors[i] = VecD{};
        for (int lane = 0; lane < kLanes; ++lane)
            for (int64_t i = 0; targets[lane].index >= 0 && i < band_.size; ++i)
                vectors[i][lane] = reduction_.column(i, targets[lane].index);
        // In the primal form the moments have no part in the null space but rounding errors.
        const Quadratics found = solve_shifted(band_, t, !args_.dual, scratch, vectors);
        const VecD image = args_.dual ? quadratic_form(band_, vectors) : VecD{};
        for (int lane = 0; lane < kLanes; ++lane) {
            Target& target = targets[lane];
            if (target.index < 0) continue;
            const double norm = found.norm[lane];
            target.ratio = t[lane];
            target.norm = args_.dual ? image[lane] : norm;
            target.residual = args_.dual ? t[lane] * t[lane] * norm
                                         : args_.squares[target.index] - found.energy[lane] -
                                               t[lane] * norm;
            if (target.residual < 0.0) target.residual = 0.0;
        }
    }

    // The next alpha and beta; whether they are the last.
    bool update(Target& target, VecD* scratch) {
        const double t = target.ratio;
        const SpectrumPoint point = table_.at(t, scratch);
        const double noise = static_cast<double>(args_.n_samples - band_.size) + point.left_over;
        target.alpha = precision(point.fitted, target.norm + args_.epsilon);
        target.beta = precision(noise, target.residual + args_.epsilon);
        const double change = __builtin_fabs(target.alpha / target.beta - t);
        return ++target.rounds == args_.max_rounds || change <= args_.tolerance * t;
    }

    void conclude(Target& target, VecD* scratch) {
        const double n = static_cast<double>(args_.n_samples);
        const double size = static_cast<double>(band_.size);
        const double counted = args_.full_spectrum ? size : static_cast<double>(args_.n_features);
        const double added = args_.epsilon_in_evidence ? args_.epsilon : 0.0;
        const double log_beta = __builtin_log(target.beta);
        const double log_determinant =
            table_.at(target.alpha / target.beta, scratch).log_determinant + size * log_beta;
        const double evidence = counted * __builtin_log(target.alpha) + n * log_beta -
                                log_determinant - target.beta * (target.residual + added) -
                                target.alpha * (target.norm + added) -
                                n * 1.837877066409345484;  // ln 2 pi
        args_.evidences[target.index] = 0.5 * evidence / n;
        args_.alphas[target.index] = target.alpha;
        args_.betas[target.index] = target.beta;
        args_.ratios[target.index] = target.ratio;
        target.index = -1;
    }

    // Degrees of freedom over energy, kept in the range of precisions.
    double precision(double degrees, double energy) const {
        const double least = args_.smallest_precision;
        if (energy < least * least) energy = least * least;
        const double quotient = degrees / energy;
        return quotient < least ? least : quotient > largest_ ? largest_ : quotient;
    }

    const EvidenceArgs& args_;
    const BandMatrix band_;
    const BandReduction& reduction_;
    const double largest_;
    SpectrumTable table_;
    Queue queue_;
    const int64_t scratch_size_;
    Buffer<VecD> scratch_;
};

}  // namespace

void logme_evidence(const EvidenceArgs& args) {
    BandReduction reduction(args.size, args.n_targets);
    auto reduce = [&](Member member) { reduction.run(member, args.gram, args.moments); };
    run_team(args.size < kSmall ? 1 : args.n_threads, reduce);

    int64_t n_groups = (args.n_targets + kLanes - 1) / kLanes;
    if (args.warm_start || args.size * args.n_targets < 4000) n_groups = 1;
    const int n_threads =
        n_groups < args.n_threads ? static_cast<int>(n_groups) : args.n_threads;
    Fit fit(args, reduction, n_threads);
    auto body = [&](Member member) { fit.run(member); };
    run_team(n_threads, body);
}

}  // namespace TK_ISA
}  // namespace tk
