package attribute

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/internal/blur"
	"github.com/llenergymeasure/llem/internal/linear"
	"github.com/llenergymeasure/llem/power"
)

// Kernel describes how a sensor sees power: a value with stamp t is the mean over [t − Lag − Window, t − Lag]
// of the output of a first-order low-pass filter with time constant Filter. Either may be zero. Filter
// includes the time that the power itself needs to follow the load; if that is a filter in series with the sensor's
// own, it is the sum of both time constants.
type Kernel struct {
	// Window, Filter and Lag are times of the sensor; see [Kernel].
	Window, Filter, Lag       time.Duration
	WindowSD, FilterSD, LagSD time.Duration // standard errors
	// LowW and HighW are the power without and with load, in watts. Only FitKernel sets them.
	LowW, HighW float64
	// ResidualW is the standard deviation of the residuals, in watts.
	ResidualW float64
}

// blur returns about how far the kernel spreads a short pulse.
func (k Kernel) blur() time.Duration { return k.Window + 2*k.Filter }

// observation is one power value and the time it stands for.
type observation struct {
	at, window int64
	watts      float64
}

// observations returns the samples to which the kernel applies, in order of time. A polled value counts if it
// changed: its update lies between two polls.
func observations(samples []power.Sample, w Window) []observation {
	polled := slices.ContainsFunc(samples, func(s power.Sample) bool { return s.SinceNS != 0 })
	out := make([]observation, 0, len(samples))
	for _, s := range samples {
		at := s.MonoNS
		if polled {
			if s.SinceNS == 0 {
				continue
			}
			at = s.SinceNS + (s.MonoNS-s.SinceNS)/2
		}
		if at < w.Start-reach || at > w.End+reach {
			continue
		}
		out = append(out, observation{at, int64(s.Window), float64(s.Power)})
	}
	slices.SortStableFunc(out, func(a, b observation) int { return compare(a.at, b.at) })
	return slices.CompactFunc(out, func(a, b observation) bool { return a.at == b.at })
}

// params are lag, window, filter and rise of a kernel in ns: rise is the time constant with which the power follows the
// load, in front of the sensor's filter.
type params [4]float64

const (
	lagParam = iota
	windowParam
	filterParam
	riseParam
	kernelParams
)

// prior is the knowledge about a kernel before the samples are used.
type prior struct {
	mean, sd params
	// relative means that window is the difference from the window that a sample states.
	relative bool
}

// window returns the window of an observation in ns.
func (p prior) window(o observation, k params) float64 {
	w := k[windowParam]
	if p.relative {
		w += float64(o.window)
	}
	return max(0, w)
}

// regression is a fit of a design to observations.
type regression struct {
	design *design
	obs    []observation
	prior  prior
	// refined asks for the optimum of the kernel, see [Options].
	refined bool
	sight   *blur.Sight

	kernel params
	score  float64 // of the best kernel: smaller is more likely
	beta   []float64
	free   []int // columns that are not fixed at zero
	rss    float64
	sigma  float64 // standard deviation of the residuals, in watts
	mean   float64 // of the observations, in watts
	// cov has the covariance of the free columns, then of the lag, then of the window if they matter;
	// influence is the change of these per watt in each observation.
	cov       linear.Matrix
	influence [][]float64
	bandwidth int
}

// rows returns the sensor's response to every column of the basis.
func rows(b *blur.Basis, obs []observation, belief prior, k params) [][]float64 {
	return rowsOf(blur.NewSight(b), obs, belief, k)
}

// rowsOf is rows with what kernels have in common; the rows are valid until the next call.
//
//go:norace
func rowsOf(s *blur.Sight, obs []observation, belief prior, k params) [][]float64 {
	x := s.Rows(len(obs))
	s.Through(k[filterParam], k[riseParam])
	for n, o := range obs {
		s.Row(o.at-int64(k[lagParam]), belief.window(o, k), x[n])
	}
	return x
}

// solve fits the weights for a given kernel.
//
//go:norace
func (r *regression) solve(obs []observation, k params) (beta []float64, free []int, rss float64, ok bool) {
	x := rowsOf(r.sight, obs, r.prior, k)
	p := len(r.design.columns)
	gram, xy := linear.NewMatrix(p), make([]float64, p)
	signed := make([]bool, p)
	for c, col := range r.design.columns {
		signed[c] = col.signed
	}
	for c, col := range r.design.columns {
		gram.Add(c, c, r.ridge(col))
	}
	gram.AddRows(x)
	for i, o := range obs {
		for c, v := range x[i] {
			xy[c] += v * o.watts
		}
	}
	beta, free, ok = linear.LeastSquares(gram, xy, signed)
	if !ok {
		return nil, nil, 0, false
	}
	for i, o := range obs {
		e := o.watts - linear.Dot(x[i], beta)
		rss += e * e
	}
	return beta, free, rss, true
}

// ridge returns the information in the prior of a weight, in units of one observation: mean zero, standard
// deviation priorSD times the mean power. It matters only if the samples hardly determine the weight.
func (r *regression) ridge(c column) float64 {
	return square(r.sigma / (c.priorSD * r.mean))
}

// maxSearch is the number of observations above which the kernel is searched on a subset.
const maxSearch = 3000

// searchKernel finds the kernel with the largest likelihood: on a coarse grid over the prior, then on finer
// grids around the best point.
func (r *regression) searchKernel() error {
	obs := r.obs
	if len(obs) > maxSearch {
		skip := (len(obs) - maxSearch) / 2
		obs = obs[skip : skip+maxSearch]
	}
	best, at := math.Inf(1), r.prior.mean
	seen := map[params]bool{} // a finer grid shares points with the previous one
	try := func(k params) {
		k[filterParam] = max(0, k[filterParam])
		if seen[k] {
			return
		}
		seen[k] = true
		if _, _, rss, ok := r.solve(obs, k); ok {
			if s := r.scoreOf(obs, rss, k); s < best {
				best, at = s, k
			}
		}
	}
	scan := func(step params, n [kernelParams]int) {
		for i := range n {
			if step[i] == 0 {
				n[i] = 0
			}
		}
		center := at
		for i := -n[0]; i <= n[0]; i++ {
			for j := -n[1]; j <= n[1]; j++ {
				for l := -n[2]; l <= n[2]; l++ {
					try(params{center[0] + float64(i)*step[0], center[1] + float64(j)*step[1],
						center[2] + float64(l)*step[2], center[3]})
				}
			}
		}
	}
	step := r.prior.sd
	step[lagParam] *= 2.5 / 6
	step[riseParam] = 0
	scan(step, [kernelParams]int{6, 1, 1})
	for range 7 {
		for i := range step {
			step[i] /= 2
		}
		scan(step, [kernelParams]int{1, 1, 1})
	}
	if math.IsInf(best, 1) {
		return errors.New("the power samples cannot separate the phases at all")
	}
	r.kernel, r.score = at, best
	return nil
}

// scoreOf returns minus twice the logarithm of the likelihood of a kernel, up to a constant: smaller is more likely.
func (r *regression) scoreOf(obs []observation, rss float64, k params) float64 {
	score := float64(len(obs)) * math.Log(rss+1e-9)
	for i, sd := range r.prior.sd {
		if sd > 0 {
			score += square((k[i] - r.prior.mean[i]) / sd)
		}
	}
	return score
}

// fits fits every kind of kernel that the sensor may have, most likely first, and drops the kinds that the
// samples contradict.
func (r *regression) fits(priors []prior) ([]*regression, error) {
	for _, o := range r.obs {
		r.mean += o.watts / float64(len(r.obs))
	}
	if r.mean <= 0 {
		return nil, errors.New("the power series is zero everywhere")
	}
	r.sigma = guessedNoise * r.mean
	var all []*regression
	var failed error
	for _, p := range priors {
		try := *r
		try.prior = p
		if err := try.fit(); err != nil {
			failed = err
			continue
		}
		all = append(all, &try)
	}
	if len(all) == 0 {
		return nil, failed
	}
	slices.SortStableFunc(all, func(a, b *regression) int { return cmp.Compare(a.score, b.score) })
	best := all[0].score
	return slices.DeleteFunc(all, func(o *regression) bool { return o.score > best+plausible }), nil
}

// plausible is the difference of two scores (about twice the logarithm of a likelihood ratio) up to which a
// shape is kept. Residuals are not quite independent, so this is less strict than it looks.
const plausible = 15

// fit determines kernel and weights, and their covariance.
func (r *regression) fit() error {
	r.sight = blur.NewSight(r.design.basis)
	defer func() { r.sight = nil }() // free its large cache
	if err := r.searchKernel(); err != nil {
		return err
	}
	searched := r.score
	for range 2 { // the second time with the estimated noise
		if err := r.weigh(); err != nil {
			return err
		}
	}
	if !r.refined {
		r.score = searched
	} else if err := r.polish(); err != nil {
		return err
	}
	return r.covariance()
}

// weigh fits the weights for the kernel, and the noise.
func (r *regression) weigh() (err error) {
	var ok bool
	if r.beta, r.free, r.rss, ok = r.solve(r.obs, r.kernel); !ok {
		return errors.New("the power samples cannot separate the phases at all")
	}
	df := len(r.obs) - len(r.free) - 2
	if df < 3 {
		return r.design.tooFew(len(r.obs), len(r.free)+5)
	}
	r.sigma = math.Sqrt(r.rss/float64(df)) + 1e-6*r.mean
	r.score = r.scoreOf(r.obs, r.rss, r.kernel)
	return nil
}

const (
	// polishing is the largest number of steps from the best point of the search to the optimum, and halvings how often
	// a step that goes too far is halved.
	polishing, halvings = 12, 4
	// gained is the gain in score below which a step does not count.
	gained = 1e-4
)

// polish moves the kernel from the best point of the search to the optimum, by steps of Gauss and Newton. The search
// ends beside it where a longer window does nearly the same as a slower filter.
func (r *regression) polish() error {
	for range polishing {
		t, ok := r.tangent()
		if !ok {
			return nil // the covariance tells why
		}
		to := r.kernel
		for i := range to {
			to[i] += t.step[i]
		}
		better := false
		for range halvings {
			to[filterParam], to[riseParam] = max(0, to[filterParam]), max(0, to[riseParam])
			_, _, rss, ok := r.solve(r.obs, to)
			if better = ok && r.scoreOf(r.obs, rss, to) < r.score-gained; better {
				break
			}
			for i := range to {
				to[i] = (to[i] + r.kernel[i]) / 2
			}
		}
		if !better {
			return nil
		}
		r.kernel = to
		if err := r.weigh(); err != nil {
			return err
		}
	}
	return nil
}

// tangent is the model, linearised around a fit.
type tangent struct {
	// rows are the derivatives of each value by the free weights, then by the kernel; residuals are what is left.
	rows      [][]float64
	residuals []float64
	// known is the information of the priors, in units of one observation, and inverse the inverted information of
	// priors and observations.
	known   []float64
	inverse linear.Matrix
	// step leads from the kernel to the optimum, if the model were linear.
	step params
}

func (r *regression) tangent() (t tangent, ok bool) {
	p := len(r.free)
	x := rows(r.design.basis, r.obs, r.prior, r.kernel)
	var slopes [kernelParams][]float64
	for k := range slopes {
		slopes[k] = r.slope(k)
	}
	t.rows, t.residuals, t.known = make([][]float64, len(r.obs)), make([]float64, len(r.obs)),
		make([]float64, p+kernelParams)
	bread, toward := linear.NewMatrix(p+kernelParams), make([]float64, p+kernelParams)
	for i := range t.rows {
		z := make([]float64, p+kernelParams)
		for j, c := range r.free {
			z[j] = x[i][c]
		}
		for k, g := range slopes {
			z[p+k] = g[i]
		}
		t.rows[i], t.residuals[i] = z, r.obs[i].watts-linear.Dot(x[i], r.beta)
		bread.AddOuter(z, 1)
		for j, v := range z {
			toward[j] += v * t.residuals[i]
		}
	}
	for j, c := range r.free {
		t.known[j] = r.ridge(r.design.columns[c])
		toward[j] -= t.known[j] * r.beta[c]
	}
	for k, sd := range r.prior.sd {
		t.known[p+k] = square(r.sigma / max(sd, 1e3)) // a parameter without uncertainty is fixed
		toward[p+k] -= t.known[p+k] * (r.kernel[k] - r.prior.mean[k])
	}
	for k, q := range t.known {
		bread.Add(k, k, q)
	}
	if t.inverse, ok = bread.Inverse(); ok {
		copy(t.step[:], t.inverse.Times(toward)[p:])
	}
	return t, ok
}

// guessedNoise is the relative noise of a sample before it is estimated.
const guessedNoise = 0.03

// slope returns the derivative of the model's values by a parameter of the kernel, per ns.
func (r *regression) slope(param int) []float64 {
	const h = 0.25e6
	up, down := r.kernel, r.kernel
	if param == riseParam && r.prior.sd[param] == 0 {
		return make([]float64, len(r.obs)) // the filter has it
	}
	up[param] += h
	down[param] -= h
	if param == filterParam || param == riseParam {
		down[param] = max(blur.MinFilter, down[param])
		up[param] = max(up[param], down[param]+h)
	}
	high, low := rows(r.design.basis, r.obs, r.prior, up), rows(r.design.basis, r.obs, r.prior, down)
	g := make([]float64, len(r.obs))
	for i := range g {
		g[i] = (linear.Dot(high[i], r.beta) - linear.Dot(low[i], r.beta)) / (up[param] - down[param])
	}
	return g
}

// covariance computes the covariance of weights and kernel: the model is linear in the weights, and is
// linearised in the kernel around the fit. The residuals have neither equal variance nor independence, hence
// the sandwich estimator of Newey and West (1987) with a bandwidth after Andrews (1991), each residual
// enlarged by its leverage (HC3, MacKinnon and White 1985). The prior of the kernel enters as one more
// observation of each parameter.
func (r *regression) covariance() error {
	t, ok := r.tangent()
	if !ok {
		return errors.New("the power samples cannot separate the phases at all")
	}
	r.influence = make([][]float64, len(r.obs))
	u := make([][]float64, len(r.obs))
	for i, z := range t.rows {
		r.influence[i] = t.inverse.Times(z)
		u[i] = slices.Clone(r.influence[i])
		scale := t.residuals[i] / max(0.1, 1-linear.Dot(z, u[i]))
		for j := range u[i] {
			u[i][j] *= scale
		}
	}
	r.bandwidth = bandwidth(t.residuals, r.blur())
	r.cov = linear.LongRun(u, r.bandwidth)
	column := make([]float64, len(t.known))
	for k, q := range t.known {
		for j := range column {
			column[j] = t.inverse.At(j, k)
		}
		r.cov.AddOuter(column, r.sigma*r.sigma*q)
	}
	return nil
}

// blur returns the number of observations that one sensor value spans.
func (r *regression) blur() int {
	if len(r.obs) < 2 {
		return 0
	}
	spacing := float64(r.obs[len(r.obs)-1].at-r.obs[0].at) / float64(len(r.obs)-1)
	return int(math.Ceil((r.prior.window(r.obs[0], r.kernel) + r.kernel.delay()) / spacing))
}

// bandwidth returns the bandwidth of the Bartlett kernel for residuals like an AR(1) process (Andrews 1991),
// at least the sensor's own span.
func bandwidth(e []float64, least int) int {
	var num, den float64
	for i, v := range e {
		den += v * v
		if i > 0 {
			num += v * e[i-1]
		}
	}
	if den == 0 {
		return least
	}
	rho := min(0.97, max(-0.97, num/den))
	alpha := 4 * rho * rho / square(1-rho*rho)
	b := int(math.Ceil(1.1447 * math.Cbrt(alpha*float64(len(e)))))
	return min(max(b, least), len(e)/4)
}

// estimate returns the estimate of a sum of weights, Σ c·β.
func (r *regression) estimate(c []float64) (value, sd, df float64) {
	full := make([]float64, len(r.free)+kernelParams)
	for j, f := range r.free {
		full[j] = c[f]
	}
	value = linear.Dot(c, r.beta)
	sd = math.Sqrt(max(0, linear.Dot(full, r.cov.Times(full))))
	// Degrees of freedom: how evenly the observations contribute to the estimate.
	var two, four float64
	for _, u := range r.influence {
		a := linear.Dot(u, full)
		two += a * a
		four += a * a * a * a
	}
	// The samples of a sensor that averages over many of them are not independent, and the variance is known
	// well only with several samples per term.
	df = float64(len(r.obs))/float64(max(1, r.blur())) - 2*float64(len(r.free))
	if four > 0 {
		df = min(df, two*two/four-1)
	}
	return value, sd, max(df, 1)
}

// delay returns the sum of the time constants of the filters.
func (k params) delay() float64 { return k[filterParam] + k[riseParam] }

// sensor returns the fitted properties of the sensor.
func (r *regression) sensor() Kernel {
	at := func(i, j int) float64 { return r.cov.At(len(r.free)+i, len(r.free)+j) }
	sd := func(variance float64) time.Duration { return time.Duration(math.Sqrt(max(0, variance))) }
	filter := at(filterParam, filterParam)
	if r.prior.sd[riseParam] > 0 {
		filter += 2*at(filterParam, riseParam) + at(riseParam, riseParam)
	}
	return Kernel{
		Lag: time.Duration(r.kernel[lagParam]), LagSD: sd(at(lagParam, lagParam)),
		Window:    time.Duration(r.prior.window(r.obs[len(r.obs)/2], r.kernel)),
		WindowSD:  sd(at(windowParam, windowParam)),
		Filter:    time.Duration(r.kernel.delay()),
		FilterSD:  sd(filter),
		ResidualW: r.sigma,
	}
}

// FitKernel determines the lag and averaging window of a sensor from a load that was on during the given
// windows of span and off between them. The samples are from one device and one source. A precision of one or
// two milliseconds needs a few dozen edges at phases that are not in step with the sensor.
func FitKernel(samples []power.Sample, on []Window, span Window) (Kernel, error) {
	if len(on) < 4 {
		return Kernel{}, fmt.Errorf("%d edges are too few to determine the sensor's lag and window", 2*len(on))
	}
	line, err := pulses(on, span)
	if err != nil {
		return Kernel{}, err
	}
	obs := observations(samples, span)
	spacing, err := typicalSpacing(obs)
	if err != nil {
		return Kernel{}, err
	}
	d := newDesign(line, span, span)
	// Time outside the span counts as a pause; the load counts as prompts.
	wide := max(30e6, 1.5*spacing, float64(obs[0].window))
	r := &regression{design: d, obs: obs}
	averaging := prior{mean: params{wide / 3, max(spacing/2, float64(obs[0].window)), 3e6}, sd: params{wide, wide, 4e6}}
	filtering := prior{mean: params{wide / 3, 0, 15e6}, sd: params{wide, 4e6, wide / 2}}
	view := func(b *blur.Basis) [][]float64 { return rows(b, obs, averaging, averaging.mean) }
	if _, err := d.choose(view); err != nil {
		return Kernel{}, err
	}
	fits, err := r.fits([]prior{averaging, filtering})
	if err != nil {
		return Kernel{}, err
	}
	r = fits[0]
	k := r.sensor()
	for c, col := range d.columns {
		switch col.name {
		case idleTerm, pauseTerm:
			k.LowW += r.beta[c]
		case "prefill":
			k.HighW = r.beta[c]
		}
	}
	if k.HighW-k.LowW < 4*r.sigma/math.Sqrt(float64(len(on))) {
		return k, fmt.Errorf("the load changes the power by only %.3g W, too little compared with %.3g W of noise "+
			"to determine the sensor's lag and window", k.HighW-k.LowW, r.sigma)
	}
	return k, nil
}

// pulses returns the timeline of a load that is on or off.
func pulses(on []Window, span Window) ([]stretch, error) {
	var line []stretch
	at := span.Start
	for i, p := range on {
		if p.Start < at || p.End <= p.Start || p.End > span.End {
			return nil, fmt.Errorf("pulse %d of the load lies outside its place", i)
		}
		if p.Start > at {
			line = append(line, stretch{start: at, end: p.Start, kind: idle, before: prefill})
		}
		line = append(line, stretch{start: p.Start, end: p.End, kind: prefill, prompt: 1, steps: 1})
		at = p.End
	}
	if at < span.End {
		line = append(line, stretch{start: at, end: span.End, kind: idle, before: prefill})
	}
	return line, nil
}

func typicalSpacing(obs []observation) (float64, error) {
	if len(obs) < 8 {
		return 0, fmt.Errorf("%d power samples are too few", len(obs))
	}
	times := make([]int64, len(obs))
	for i, o := range obs {
		times[i] = o.at
	}
	return float64(medianSpacing(times)), nil
}
