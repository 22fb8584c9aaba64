// Fixed point and log evidence of every LogME target; see kernels/logme_evidence/__init__.py.
//
// The Gram matrix is reduced to a band once, and the moments with it. After that each step of a
// target is one factorisation of the band plus t I, several targets side by side in a vector; the
// terms that depend on t alone come from a table that the targets share.
#include "logme_evidence.h"

#include "band_reduction.h"
#include "banded_ldlt.h"
#include "common/buffer.h"
#include "common/parallel.h"
#include "spectrum_table.h"

namespace tk {
namespace TK_ISA {

namespace {

constexpr int64_t kSmall = 192;  // size below which threads cost more than they bring

// What the search for the largest evidence asks of the Gram matrix itself.
struct GramSummary {
    double trace;
    double empty;     // rows of zeros
    double rounding;  // estimate of the spectral norm of its rounding error
};

// An element's error is some eps of the roots of its two diagonal elements, with either sign: in
// the spectral norm that is eps times the root of the trace and the largest; what the reduction to
// the band adds is eps of the norm.
GramSummary summary(const EvidenceArgs& args, const BandMatrix& band) {
    GramSummary result{};
    double squares = 0.0, peak = 0.0, scale = 0.0;
    for (int64_t i = 0; i < args.size; ++i) {
        const double x = args.gram[i * (args.size + 1)];
        result.trace += x;
        result.empty += x == 0.0;
        if (x > peak) peak = x;
    }
    for (int64_t j = 0; peak > 0.0 && j < band.size; ++j)
        for (int64_t k = 0; k < kBandColumn && j + k < band.size; ++k) {
            const double x = band.values[j * kBandColumn + k] / peak;
            squares += (k == 0 ? 1.0 : 2.0) * x * x;
        }
    scale = result.trace / peak > squares ? result.trace / peak : squares;
    result.rounding = 2.220446049250313e-16 * peak * __builtin_sqrt(scale);
    return result;
}

class Fit {
public:
    Fit(const EvidenceArgs& args, const BandReduction& reduction, int n_threads)
        : args_(args), band_(reduction.band()), reduction_(reduction), gram_(summary(args, band_)),
          largest_(1.0 / args.smallest_precision), table_(band_, largest_ * largest_),
          queue_(args.n_targets), scratch_size_(2 * factor_vectors(band_) + factor_columns(band_)),
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
            if (n_active == 0 || stopped()) return;
            solve(targets, scratch);
            for (Target& target : targets)
                if (target.index >= 0 && update(target, scratch)) conclude(target, scratch);
        }
    }

    // The same for the largest evidence: a group of targets, side by side, at a time.
    void run_largest(Member member) {
        VecD* scratch = scratch_.data() + member.rank * scratch_size_;
        int64_t indices[kLanes];
        while (true) {
            int n_active = 0;
            for (int64_t& index : indices) {
                index = queue_.next();
                n_active += index >= 0;
            }
            if (n_active == 0) return;
            Search searches[kLanes];
            for (int lane = 0; lane < kLanes; ++lane) {
                searches[lane].index = indices[lane];
                if (indices[lane] >= 0) start(searches[lane]);
            }
            scan(searches, scratch);
            refine(searches, scratch);
            take_limit(searches, scratch);
            for (const Search& search : searches)
                if (search.index >= 0) conclude(search, scratch);
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
            add_known(target, t[lane]);
        }
    }

    // The known directions' part.
    void add_known(Target& target, double t) const {
        if (args_.rest) target.residual += args_.rest[target.index];
        for (int64_t k = 0; k < args_.n_known; ++k) {
            const double s = args_.known[k];
            const double part = args_.known_parts[k * args_.n_targets + target.index];
            target.norm += part * (s / (s + t)) / (s + t);
            target.residual += part * (t / (s + t)) * (t / (s + t));
        }
    }

    // The known directions included.
    SpectrumPoint spectrum(double t, VecD* scratch) {
        SpectrumPoint point = table_.at(t, scratch);
        for (int64_t k = 0; k < args_.n_known; ++k) {
            const double s = args_.known[k];
            point.log_determinant += __builtin_log(s + t);
            point.fitted += s / (s + t);
            point.left_over += t / (s + t);
        }
        return point;
    }

    double rank() const { return static_cast<double>(band_.size + args_.n_known); }

    // Whether the model without noise has an evidence.
    bool complete(int64_t index) const {
        return args_.dual && gram_.empty == 0.0 && rank() == n() &&
               (!args_.rest || args_.rest[index] == 0.0);
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

    // Where between two points of the grid, in ln t, the derivative of -2 n times the evidence
    // turns positive, and its values there.
    struct Bracket {
        double low, high, low_slope, high_slope;
    };
    static constexpr int kBrackets = 8;

    // Best so far is the null model, t infinite, at first.
    struct Search {
        int64_t index = -1;
        int n_brackets = 0;
        bool ended = false;      // whether nothing is left below the grid
        bool noiseless = false;  // but the limit of t = 0, to which the evidence rises
        Bracket brackets[kBrackets];
        double best = 0.0, quadratic = 0.0, ratio = __builtin_inf();
        double lowest = 0.0;  // value on the grid
    };

    struct Profile {
        VecD quadratic, slope, value;  // the value without constants
    };

    void start(Search& search) {
        search.quadratic = args_.squares[search.index];
        search.lowest = search.best = n() * __builtin_log(search.quadratic / n());
    }

    double n() const { return static_cast<double>(args_.n_samples); }

    // Profile of every lane's target at ln t = places.
    Profile profile(const Search* searches, const double* places, VecD* scratch) {
        Target targets[kLanes];
        for (int lane = 0; lane < kLanes; ++lane) {
            targets[lane].index = searches[lane].index;
            targets[lane].alpha = __builtin_exp(places[lane]);
        }
        solve(targets, scratch);
        Profile found{};
        for (int lane = 0; lane < kLanes; ++lane) {
            if (searches[lane].index < 0) continue;
            const double t = targets[lane].alpha;
            const double penalty = t * targets[lane].norm;
            const double q = targets[lane].residual + penalty;
            const SpectrumPoint point = spectrum(t, scratch);
            found.quadratic[lane] = q;
            found.slope[lane] = n() * penalty / q - point.fitted;
            found.value[lane] = point.log_determinant - rank() * places[lane] +
                                n() * __builtin_log(q / n());
        }
        return found;
    }

    // Down a grid of ln t, from where the model is nearly null to where it fits all it can.
    //
    // The search is over where no direction is left that has yet to come in, empty features apart,
    // and the derivative is negative by so much that it stays so: with s > t throughout, what t
    // costs, the sum of p s t / (s + t)^2, only falls with t, and q by no more than twice that.
    // In the dual form the derivative is linear in t there, and keeps its sign; where that is
    // positive and no sample is empty, the largest evidence may be that of the model without noise.
    //
    // It is over, too, where the rest cannot make up for what has been lost: towards smaller t the
    // log determinant gains at least `fitted` a unit of ln t and n ln q loses n at most, down to
    // the t of directions that the definition counts as absent.
    void scan(Search* searches, VecD* scratch) {
        if (!(gram_.trace > 0.0)) return;
        double whole = gram_.trace;
        for (int64_t k = 0; k < args_.n_known; ++k) whole += args_.known[k];
        double top = __builtin_ceil(__builtin_log(whole) / kStep) + 1.0;
        const double floor = __builtin_log(16.0 * band_.noise + gram_.trace * 1e-300);
        const double least = __builtin_log(gram_.trace) - kDepth;
        const double limit = args_.dual ? 0.01 : 0.5;
        // Upwards first where the maximum is nearly null.
        for (int k = 0; k < kUpwards; ++k) {
            double places[kLanes];
            for (double& one : places) one = top * kStep;
            const VecD slope = profile(searches, places, scratch).slope;
            bool further = false;
            for (int lane = 0; lane < kLanes; ++lane)
                further |= searches[lane].index >= 0 && slope[lane] < 0.0;
            if (!further) break;
            if (stopped()) return;
            top += 1.0;
        }
        VecD above{};
        for (int64_t k = 0; k < kGridPoints; ++k) {
            const double place = (top - static_cast<double>(k)) * kStep;
            double places[kLanes];
            for (double& one : places) one = place;
            const Profile found = profile(searches, places, scratch);
            bool go_on = false;
            const SpectrumPoint point = spectrum(__builtin_exp(place), scratch);
            const double left_over = point.left_over - gram_.empty;
            for (int lane = 0; lane < kLanes; ++lane) {
                Search& search = searches[lane];
                if (search.index < 0 || search.ended) continue;
                if (k > 0 && found.slope[lane] < 0.0 && above[lane] >= 0.0 &&
                    search.n_brackets < kBrackets)
                    search.brackets[search.n_brackets++] = {place, place + kStep, found.slope[lane],
                                                            above[lane]};
                const double penalty = found.slope[lane] + point.fitted;
                const bool falls = found.slope[lane] < 0.0;
                const bool settled = args_.dual ? falls || complete(search.index)
                                                : falls && penalty <= 0.5 * point.fitted &&
                                                      penalty <= 0.25 * n();
                const double gain = (n() - point.fitted) * (place - least);
                const bool lost = found.value[lane] - gain > search.lowest + 1.0;
                if (found.value[lane] < search.lowest) search.lowest = found.value[lane];
                search.ended = lost || (left_over < limit && settled);
                search.noiseless = search.ended && !lost && !falls;
                go_on |= !search.ended;
            }
            above = found.slope;
            if (!go_on || place - kStep < floor || stopped()) return;
        }
    }

    // Secant steps, kept inside the bracket, for one bracket of every lane at a time.
    void refine(Search* searches, VecD* scratch) {
        for (int k = 0; k < kBrackets; ++k) {
            bool active[kLanes], any = false;
            double places[kLanes];
            for (int lane = 0; lane < kLanes; ++lane) {
                Search& search = searches[lane];
                active[lane] = search.index >= 0 && k < search.n_brackets;
                any |= active[lane];
                const Bracket& bracket = search.brackets[k];
                places[lane] = active[lane] ? inside(bracket) : 0.0;
            }
            if (!any) return;
            bool last[kLanes] = {}, side[kLanes] = {};
            int moves[kLanes] = {};
            for (int round = 0; any && round < kRounds && !stopped(); ++round) {
                const Profile found = profile(searches, places, scratch);
                any = false;
                for (int lane = 0; lane < kLanes; ++lane) {
                    if (!active[lane]) continue;
                    Search& search = searches[lane];
                    if (last[lane] || round + 1 == kRounds) {
                        if (found.value[lane] < search.best) {
                            search.best = found.value[lane];
                            search.quadratic = found.quadratic[lane];
                            search.ratio = __builtin_exp(places[lane]);
                        }
                        active[lane] = false;
                        continue;
                    }
                    any = true;
                    // Illinois: an end that stays twice loses half of its weight.
                    Bracket& bracket = search.brackets[k];
                    const bool low = found.slope[lane] < 0.0;
                    moves[lane] = low == side[lane] ? moves[lane] + 1 : 1;
                    side[lane] = low;
                    if (low) {
                        bracket.low = places[lane];
                        bracket.low_slope = found.slope[lane];
                        if (moves[lane] > 1) bracket.high_slope *= 0.5;
                    } else {
                        bracket.high = places[lane];
                        bracket.high_slope = found.slope[lane];
                        if (moves[lane] > 1) bracket.low_slope *= 0.5;
                    }
                    const double next = inside(bracket);
                    // The evidence is flat at its maximum: errors enter squared.
                    last[lane] = __builtin_fabs(next - places[lane]) < 1e-5;
                    places[lane] = next;
                }
            }
        }
    }

    // The model without noise, as t so small that what depends on it is below rounding error.
    void take_limit(Search* searches, VecD* scratch) {
        const double t = gram_.trace * 1e-25;
        bool any = false;
        double places[kLanes];
        for (int lane = 0; lane < kLanes; ++lane) {
            any |= searches[lane].index >= 0 && searches[lane].noiseless;
            places[lane] = __builtin_log(t);
        }
        if (!any) return;
        const bool in_range = t * largest_ * largest_ >= 1.0;
        const Profile found = in_range ? profile(searches, places, scratch) : Profile{};
        for (int lane = 0; lane < kLanes; ++lane) {
            Search& search = searches[lane];
            if (search.index < 0 || !search.noiseless) continue;
            search.ended = in_range;
            if (!in_range || !(found.value[lane] < search.best)) continue;
            search.best = found.value[lane];
            search.quadratic = found.quadratic[lane] / t;
            search.ratio = 0.0;
        }
    }

    // Whether rounding errors E of the Gram matrix cannot matter: those of the log determinant and
    // of the quadratic form are at most |E| / (s + t), with the smallest eigenvalue s.
    bool certain(double ratio, VecD* scratch) {
        if (ratio == __builtin_inf()) return true;
        const double t = ratio > 0.0 ? ratio : gram_.trace * 1e-25;
        double bound = table_.at(t, scratch).left_over;
        if (ratio > 0.0) {
            bound -= gram_.empty;
            if (bound > 1.0) bound = 1.0;
        }
        return gram_.rounding * bound <= args_.gram_error * t;
    }

    static double inside(const Bracket& bracket) {
        const double width = bracket.high - bracket.low;
        const double rise = bracket.high_slope - bracket.low_slope;
        return rise > 0.0 ? bracket.low - width * bracket.low_slope / rise
                          : bracket.low + 0.5 * width;
    }

    // NaN where the maximum may lie below what the Gram matrix can tell.
    void conclude(const Search& search, VecD* scratch) {
        const double precision = n() / search.quadratic;
        const double beta = search.ratio == 0.0 ? __builtin_inf() : precision;
        const bool told = search.ended && certain(search.ratio, scratch);
        const double evidence = -0.5 * (search.best / n() + 1.0 + 1.837877066409345484);
        args_.evidences[search.index] = told ? evidence : __builtin_nan("");
        args_.alphas[search.index] = search.ratio == 0.0 ? precision : search.ratio * beta;
        args_.betas[search.index] = beta;
        args_.ratios[search.index] = search.ratio;
    }

    static constexpr double kStep = 1.386294361119890619;  // ln 4
    static constexpr int64_t kGridPoints = 400;
    static constexpr int kRounds = 60;
    static constexpr double kDepth = 80.0;  // of the smallest t, in ln t below the trace
    static constexpr int kUpwards = 14;     // a factor of 4^14 in t; the gain falls with its square

    const EvidenceArgs& args_;
    const BandMatrix band_;
    const BandReduction& reduction_;
    const GramSummary gram_;
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
    const int n_threads = n_groups < args.n_threads ? static_cast<int>(n_groups) : args.n_threads;
    Fit fit(args, reduction, n_threads);
    auto body = [&](Member member) { args.largest ? fit.run_largest(member) : fit.run(member); };
    run_team(n_threads, body);
}

}  // namespace TK_ISA
}  // namespace tk
