// An imitation of NVIDIA's management library whose GPUs exist in a shared file
// only: see layout.go for the file, whose structs are repeated here. Every answer
// is a pure function of the file and the time, so the library needs no thread.
// It exports what llem calls, under the names that its bindings look up.

#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// ---- the shared file ----

#define LAYOUT_MAGIC 0x4d49534d454c4c31ULL
#define LAYOUT_VERSION 5
#define PAGE 4096

typedef struct {
	uint64_t magic;
	int64_t version, header_bytes, gpu_bytes, gpus, capacity, epoch_ns;
	int64_t wall_ns, wall_after, wall_step;
	_Atomic int64_t now_ns, spent_ns, runs;
} header_t;

typedef struct {
	int64_t spacing, window, depth, lag, phase, jitter;
	double noise, gain;
	int64_t filter;
} ring_t;

typedef struct {
	int64_t refresh, window, lag, phase, jitter;
	double noise, gain;
	int64_t filter, held_stamp;
} point_t;

typedef struct {
	int64_t refresh, lag, phase, jitter, part_time, read_time;
	double gain, origin, read_joules;
} counter_t;

typedef struct {
	int64_t lost_after, denied_after, failed_after, failed_code, reset_after, jump_after;
	double jump_joules;
	int64_t frozen_after, dropout_from, dropout_to, throttle_after;
	uint64_t throttle_reasons;
	int64_t neighbour_after, neighbour_until, neighbour_pid, neighbour_bytes;
	double neighbour_watts;
	int64_t neighbour_busy;
} faults_t;

typedef struct {
	uint64_t seed;
	ring_t ring;
	point_t instant, average;
	counter_t counter;
	faults_t faults;
	int64_t mig, power_limit_mw, power_default_mw, not_persistent, memory_total, ecc_off, clock_mhz;
	char name[64], uuid[64];
	_Atomic int64_t engine_pid, engine_bytes, reads, reads_shown, read_update;
	_Atomic uint64_t count;
} gpu_t;

typedef struct {
	int64_t start;
	double watts, joules;
} segment_t;

static header_t *head; // null: not initialised
static size_t mapped;
static int users;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int64_t log_offset(const header_t *h) { return (PAGE + h->gpus * h->gpu_bytes + PAGE - 1) / PAGE * PAGE; }

static gpu_t *gpu_at(int64_t i) { return (gpu_t *)((char *)head + PAGE + i * head->gpu_bytes); }

static const segment_t *log_of(const gpu_t *g) {
	int64_t i = ((const char *)g - (const char *)head - PAGE) / head->gpu_bytes;
	return (const segment_t *)((const char *)head + log_offset(head)) + i * head->capacity;
}

// ---- time ----

static int64_t clock_ns(clockid_t id) {
	struct timespec ts;
	clock_gettime(id, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int64_t now_ns(void) {
	int64_t now = head->now_ns;
	return now ? now : clock_ns(CLOCK_MONOTONIC);
}

static int reached(int64_t after, int64_t now) { return after != 0 && now >= head->epoch_ns + after; }

static uint64_t wall_us(int64_t t) {
	int64_t offset = head->wall_ns ? head->wall_ns : clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
	if (reached(head->wall_after, t))
		offset += head->wall_step;
	return (uint64_t)(t + offset) / 1000;
}

// spend lets a call take time: by waiting busily, or in virtual time by a note for
// the clock's owner.
static void spend(int64_t ns) {
	if (ns <= 0)
		return;
	if (head->now_ns) {
		head->spent_ns += ns;
		return;
	}
	int64_t end = clock_ns(CLOCK_MONOTONIC) + ns;
	while (clock_ns(CLOCK_MONOTONIC) < end)
		;
}

// ---- true power ----

// neighbour says whether another process is on the GPU at t.
static int neighbour(const gpu_t *g, int64_t t) {
	return reached(g->faults.neighbour_after, t) && !reached(g->faults.neighbour_until, t);
}

// borrowed is what the neighbour has drawn up to t, in joules.
static double borrowed(const gpu_t *g, int64_t t) {
	const faults_t *f = &g->faults;
	if (!reached(f->neighbour_after, t))
		return 0;
	int64_t end = reached(f->neighbour_until, t) ? head->epoch_ns + f->neighbour_until : t;
	return f->neighbour_watts * (double)(end - head->epoch_ns - f->neighbour_after) / 1e9;
}

// joules is the true energy from the epoch to t.
static double joules(const gpu_t *g, int64_t t) {
	const segment_t *s = log_of(g);
	uint64_t low = 0, high = g->count; // the answer is the last one that begins at or before t
	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;
		if (s[middle].start <= t)
			low = middle;
		else
			high = middle;
	}
	return s[low].joules + s[low].watts * (double)(t - s[low].start) / 1e9 + borrowed(g, t);
}

static double mean(const gpu_t *g, int64_t t, int64_t window) {
	return (joules(g, t) - joules(g, t - window)) / ((double)window / 1e9);
}

// risen is how far a low-pass filter shows at t a step that began after the epoch.
static double risen(int64_t after, int64_t t, int64_t tau) {
	return reached(after, t) ? 1 - exp(-(double)(t - head->epoch_ns - after) / (double)tau) : 0;
}

// filtered is what a low-pass filter with the time constant tau shows at t.
static double filtered(const gpu_t *g, int64_t t, int64_t tau) {
	const segment_t *s = log_of(g);
	uint64_t low = 0, high = g->count;
	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;
		if (s[middle].start <= t)
			low = middle;
		else
			high = middle;
	}
	double sum = 0, near = 1; // near: the weight of everything before the end of the segment
	for (uint64_t i = low;; i--) {
		double far = i == 0 ? 0 : exp(-(double)(t - s[i].start) / (double)tau);
		sum += s[i].watts * (near - far);
		near = far;
		if (i == 0 || near < 1e-12)
			break;
	}
	const faults_t *f = &g->faults;
	return sum + f->neighbour_watts * (risen(f->neighbour_after, t, tau) - risen(f->neighbour_until, t, tau));
}

// look is what a sensor with a window or a filter sees at t.
static double look(const gpu_t *g, int64_t t, int64_t window, int64_t filter) {
	return filter > 0 ? filtered(g, t, filter) : mean(g, t, window);
}

// ---- randomness: a hash of seed, stream and index ----

enum { RING_STAMP = 1, RING_NOISE, INSTANT_TIME, INSTANT_NOISE, AVERAGE_TIME, AVERAGE_NOISE, COUNTER_TIME };

static uint64_t mix(uint64_t x) {
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

// uniform lies in (0, 1).
static double uniform(uint64_t seed, uint64_t stream, int64_t index) {
	uint64_t bits = mix(mix(seed ^ mix(stream)) ^ (uint64_t)index);
	return ((double)(bits >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(uint64_t seed, uint64_t stream, int64_t index) {
	double u = uniform(seed, stream, 2 * index), v = uniform(seed, stream, 2 * index + 1);
	return sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v);
}

// ---- sensors ----

// tick is the time of update k on a grid of updates.
static int64_t tick(const gpu_t *g, int64_t period, int64_t phase, int64_t jitter, int stream, int64_t k) {
	int64_t t = head->epoch_ns + phase + k * period;
	if (jitter)
		t += (int64_t)floor((2 * uniform(g->seed, stream, k) - 1) * (double)jitter);
	return t;
}

// latest is the number of the last update at or before now.
static int64_t latest(const gpu_t *g, int64_t period, int64_t phase, int64_t jitter, int stream, int64_t now) {
	int64_t since = now - head->epoch_ns - phase;
	int64_t k = since / period - (since % period < 0) + 1;
	while (tick(g, period, phase, jitter, stream, k) > now)
		k--;
	return k;
}

static double noisy(const gpu_t *g, double watts, double gain, double noise, int stream, int64_t k) {
	watts *= 1 + gain;
	if (noise > 0)
		watts *= 1 + noise * normal(g->seed, stream, k);
	return watts > 0 ? watts : 0;
}

static unsigned milliwatts(double watts) { return (unsigned)floor(watts * 1000 + 0.5); }

// point reads a held value; *at is when it was updated.
static double point(const gpu_t *g, const point_t *p, int time, int noise, int64_t now, int64_t *at) {
	int64_t k = latest(g, p->refresh, p->phase, p->jitter, time, now);
	*at = tick(g, p->refresh, p->phase, p->jitter, time, k);
	return noisy(g, look(g, *at - p->lag, p->window, p->filter), p->gain, p->noise, noise, k);
}

// seen is the energy that the counter has counted up to update k.
static double seen(const gpu_t *g, int64_t k) {
	const counter_t *c = &g->counter;
	double e = 0;
	if (c->part_time == 0) {
		e = joules(g, tick(g, c->refresh, c->phase, c->jitter, COUNTER_TIME, k) - c->lag) - joules(g, head->epoch_ns);
	} else {
		for (int64_t i = 1; i <= k; i++) {
			int64_t t = tick(g, c->refresh, c->phase, c->jitter, COUNTER_TIME, i);
			int64_t before = tick(g, c->refresh, c->phase, c->jitter, COUNTER_TIME, i - 1);
			e += mean(g, t - c->lag, c->part_time) * (double)(t - before) / 1e9;
		}
	}
	return c->origin + e * (1 + c->gain);
}

// disturbed is what reading has added, as far as update k shows it.
static double disturbed(gpu_t *g, int64_t k) {
	if (g->read_update != k) {
		g->reads_shown = g->reads;
		g->read_update = k;
	}
	g->reads++;
	return g->counter.read_joules * (double)g->reads_shown;
}

static double counter(gpu_t *g, int64_t now) {
	const counter_t *c = &g->counter;
	const faults_t *f = &g->faults;
	if (reached(f->frozen_after, now))
		now = head->epoch_ns + f->frozen_after;
	int64_t k = latest(g, c->refresh, c->phase, c->jitter, COUNTER_TIME, now);
	int64_t at = tick(g, c->refresh, c->phase, c->jitter, COUNTER_TIME, k);
	double e = seen(g, k);
	if (reached(f->reset_after, at))
		e -= seen(g, latest(g, c->refresh, c->phase, c->jitter, COUNTER_TIME, head->epoch_ns + f->reset_after));
	if (reached(f->jump_after, at))
		e += f->jump_joules;
	e += disturbed(g, k);
	return e > 0 ? e : 0;
}

// ---- the library ----

#define API __attribute__((visibility("default")))

// Return codes and constants of the interface.
enum {
	SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6,
	INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15,
};
enum { VALUE_UNSIGNED_INT = 1, VALUE_UNSIGNED_LONG_LONG = 3, TOTAL_POWER_SAMPLES = 0 };
enum { FIELD_ENERGY = 83, FIELD_POWER_AVERAGE = 185, FIELD_POWER_INSTANT = 186 };

typedef int ret_t;
typedef gpu_t *device_t;

typedef union {
	double d;
	unsigned u;
	uint64_t ull;
} value_t;

typedef struct {
	unsigned long long stamp_us;
	value_t value;
} sample_t;

typedef struct {
	unsigned field, scope;
	long long stamp_us, latency_us;
	unsigned type;
	ret_t ret;
	value_t value;
} field_t;

typedef struct {
	char legacy[16];
	unsigned domain, bus, device, id, subsystem;
	char bus_id[32];
} pci_t;

typedef struct {
	unsigned long long total, free, used;
} memory_t;

typedef struct {
	unsigned gpu, memory;
} utilization_t;

typedef struct {
	unsigned pid;
	unsigned long long used;
	unsigned gpu_instance, compute_instance;
} process_t;

typedef struct {
	unsigned pid;
	unsigned long long stamp_us;
	unsigned sm, memory, encoder, decoder;
} busy_t;

// map opens the simulation that the environment names.
static ret_t map(void) {
	const char *path = getenv("LLEM_SIM");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	struct stat st;
	if (fd < 0)
		return DRIVER_NOT_LOADED;
	if (fstat(fd, &st) != 0 || st.st_size < PAGE) {
		close(fd);
		return DRIVER_NOT_LOADED;
	}
	header_t *h = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (h == MAP_FAILED)
		return DRIVER_NOT_LOADED;
	if (h->magic != LAYOUT_MAGIC || h->version != LAYOUT_VERSION || h->header_bytes != sizeof(header_t) ||
	    h->gpu_bytes != sizeof(gpu_t) ||
	    st.st_size != log_offset(h) + h->gpus * h->capacity * (int64_t)sizeof(segment_t)) {
		munmap(h, st.st_size);
		return DRIVER_NOT_LOADED;
	}
	head = h;
	mapped = st.st_size;
	return SUCCESS;
}

API ret_t nvmlInit_v2(void) {
	pthread_mutex_lock(&lock);
	ret_t ret = users ? SUCCESS : map();
	if (ret == SUCCESS)
		users++;
	pthread_mutex_unlock(&lock);
	return ret;
}

API ret_t nvmlShutdown(void) {
	ret_t ret = UNINITIALIZED;
	pthread_mutex_lock(&lock);
	if (users) {
		ret = SUCCESS;
		if (--users == 0) {
			munmap(head, mapped);
			head = NULL;
		}
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

API const char *nvmlErrorString(ret_t ret) {
	switch (ret) {
	case SUCCESS: return "Success";
	case UNINITIALIZED: return "Uninitialized";
	case INVALID_ARGUMENT: return "Invalid Argument";
	case NOT_SUPPORTED: return "Not Supported";
	case NO_PERMISSION: return "Insufficient Permissions";
	case NOT_FOUND: return "Not Found";
	case INSUFFICIENT_SIZE: return "Insufficient Size";
	case DRIVER_NOT_LOADED: return "Driver Not Loaded";
	case GPU_IS_LOST: return "GPU is lost";
	}
	return "Unknown Error";
}

static ret_t text(char *to, unsigned length, const char *from) {
	if (length <= strlen(from))
		return INSUFFICIENT_SIZE;
	strcpy(to, from);
	return SUCCESS;
}

API ret_t nvmlSystemGetDriverVersion(char *version, unsigned length) { return text(version, length, "simulated"); }

API ret_t nvmlSystemGetCudaDriverVersion(int *version) {
	*version = 13000;
	return SUCCESS;
}

API ret_t nvmlDeviceGetCount_v2(unsigned *count) {
	if (!head)
		return UNINITIALIZED;
	*count = (unsigned)head->gpus;
	return SUCCESS;
}

// state is the return code of every call to a device: its faults come first.
static ret_t state(device_t g) {
	if (!head)
		return UNINITIALIZED;
	if (!g)
		return INVALID_ARGUMENT;
	int64_t now = now_ns();
	if (reached(g->faults.lost_after, now))
		return GPU_IS_LOST;
	if (reached(g->faults.denied_after, now))
		return NO_PERMISSION;
	if (reached(g->faults.failed_after, now))
		return (ret_t)g->faults.failed_code;
	return SUCCESS;
}

#define CHECK(g) do { ret_t ret_ = state(g); if (ret_ != SUCCESS) return ret_; } while (0)

// The count includes GPUs whose handle is refused, as the driver's does.
API ret_t nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t *device) {
	if (!head)
		return UNINITIALIZED;
	if (index >= head->gpus)
		return INVALID_ARGUMENT;
	CHECK(gpu_at(index));
	*device = gpu_at(index);
	return SUCCESS;
}

// ---- power and energy ----

API ret_t nvmlDeviceGetTotalEnergyConsumption(device_t g, unsigned long long *mj) {
	CHECK(g);
	if (g->counter.refresh == 0)
		return NOT_SUPPORTED;
	*mj = (unsigned long long)floor(counter(g, now_ns()) * 1000);
	spend(g->counter.read_time);
	return SUCCESS;
}

API ret_t nvmlDeviceGetPowerUsage(device_t g, unsigned *mw) {
	int64_t at;
	CHECK(g);
	if (g->average.refresh == 0)
		return NOT_SUPPORTED;
	*mw = milliwatts(point(g, &g->average, AVERAGE_TIME, AVERAGE_NOISE, now_ns(), &at));
	return SUCCESS;
}

// field answers one field of the whole GPU; there are no other scopes.
static ret_t field(device_t g, field_t *f) {
	int64_t at, now = now_ns();
	f->latency_us = 0;
	f->stamp_us = (long long)wall_us(now);
	f->type = VALUE_UNSIGNED_INT;
	f->value.ull = 0;
	if (f->scope != 0)
		return NOT_SUPPORTED;
	if (f->field == FIELD_POWER_INSTANT && g->instant.refresh) {
		f->value.u = milliwatts(point(g, &g->instant, INSTANT_TIME, INSTANT_NOISE, now, &at));
		if (g->instant.held_stamp)
			f->stamp_us = (long long)wall_us(at);
		return SUCCESS;
	}
	if (f->field == FIELD_POWER_AVERAGE && g->average.refresh) {
		f->value.u = milliwatts(point(g, &g->average, AVERAGE_TIME, AVERAGE_NOISE, now, &at));
		return SUCCESS;
	}
	if (f->field == FIELD_ENERGY && g->counter.refresh) {
		f->type = VALUE_UNSIGNED_LONG_LONG;
		f->value.ull = (uint64_t)floor(counter(g, now) * 1000);
		spend(g->counter.read_time);
		return SUCCESS;
	}
	return NOT_SUPPORTED;
}

API ret_t nvmlDeviceGetFieldValues(device_t g, int count, field_t *fields) {
	CHECK(g);
	for (int i = 0; i < count; i++)
		fields[i].ret = field(g, &fields[i]);
	return SUCCESS;
}

static ret_t ring(device_t g, unsigned long long after, unsigned *count, sample_t *samples) {
	const ring_t *r = &g->ring;
	const faults_t *f = &g->faults;
	int64_t last = latest(g, r->spacing, r->phase, r->jitter, RING_STAMP, now_ns());
	unsigned n = 0, room = *count;
	for (int64_t k = last - r->depth + 1; k <= last; k++) {
		int64_t t = tick(g, r->spacing, r->phase, r->jitter, RING_STAMP, k);
		uint64_t stamp = wall_us(t);
		if (stamp <= after || (reached(f->dropout_from, t) && !reached(f->dropout_to, t)))
			continue;
		if (n == room)
			return INSUFFICIENT_SIZE;
		samples[n].stamp_us = stamp;
		samples[n].value.ull = 0;
		samples[n].value.u = milliwatts(noisy(g, look(g, t - r->lag, r->window, r->filter), r->gain, r->noise, RING_NOISE, k));
		n++;
	}
	*count = n;
	return n ? SUCCESS : NOT_FOUND;
}

API ret_t nvmlDeviceGetSamples(device_t g, int kind, unsigned long long after, unsigned *type, unsigned *count, sample_t *samples) {
	CHECK(g);
	if (kind != TOTAL_POWER_SAMPLES || g->ring.spacing == 0)
		return NOT_SUPPORTED;
	*type = VALUE_UNSIGNED_INT;
	if (!samples) {
		*count = (unsigned)g->ring.depth;
		return SUCCESS;
	}
	return ring(g, after, count, samples);
}

// ---- identity ----

API ret_t nvmlDeviceGetUUID(device_t g, char *uuid, unsigned length) {
	CHECK(g);
	return text(uuid, length, g->uuid);
}

API ret_t nvmlDeviceGetName(device_t g, char *name, unsigned length) {
	CHECK(g);
	return text(name, length, g->name);
}

API ret_t nvmlDeviceGetPciInfo_v3(device_t g, pci_t *pci) {
	CHECK(g);
	memset(pci, 0, sizeof *pci);
	pci->bus = (unsigned)(((char *)g - (char *)head - PAGE) / head->gpu_bytes) + 1;
	snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", pci->bus & 0xff);
	snprintf(pci->legacy, sizeof pci->legacy, "0000:%02X:00.0", pci->bus & 0xff);
	return SUCCESS;
}

API ret_t nvmlDeviceGetCudaComputeCapability(device_t g, int *major, int *minor) {
	CHECK(g);
	*major = 9, *minor = 0;
	return SUCCESS;
}

API ret_t nvmlDeviceGetMigMode(device_t g, unsigned *current, unsigned *pending) {
	CHECK(g);
	*current = *pending = g->mig != 0;
	return SUCCESS;
}

API ret_t nvmlDeviceGetVbiosVersion(device_t g, char *version, unsigned length) {
	CHECK(g);
	return text(version, length, "simulated");
}

// ---- state ----

API ret_t nvmlDeviceGetMemoryInfo(device_t g, memory_t *m) {
	CHECK(g);
	m->total = (unsigned long long)g->memory_total;
	m->used = (600ULL << 20) + (unsigned long long)g->engine_bytes;
	if (neighbour(g, now_ns()))
		m->used += (unsigned long long)g->faults.neighbour_bytes;
	m->free = m->total > m->used ? m->total - m->used : 0;
	return SUCCESS;
}

static void add_process(process_t *list, unsigned room, unsigned *n, int64_t pid, int64_t bytes) {
	if (*n < room)
		list[*n] = (process_t){(unsigned)pid, (unsigned long long)bytes, 0xffffffffu, 0xffffffffu};
	++*n;
}

API ret_t nvmlDeviceGetComputeRunningProcesses_v3(device_t g, unsigned *count, process_t *list) {
	CHECK(g);
	unsigned n = 0, room = *count;
	if (g->engine_pid)
		add_process(list, room, &n, g->engine_pid, g->engine_bytes);
	if (neighbour(g, now_ns()))
		add_process(list, room, &n, g->faults.neighbour_pid, g->faults.neighbour_bytes);
	*count = n;
	return n > room ? INSUFFICIENT_SIZE : SUCCESS;
}

API ret_t nvmlDeviceGetCurrentClocksThrottleReasons(device_t g, unsigned long long *reasons) {
	CHECK(g);
	*reasons = reached(g->faults.throttle_after, now_ns()) ? g->faults.throttle_reasons : 0;
	return SUCCESS;
}

API ret_t nvmlDeviceGetUtilizationRates(device_t g, utilization_t *u) {
	CHECK(g);
	u->gpu = g->engine_pid ? 100 : neighbour(g, now_ns()) ? (unsigned)g->faults.neighbour_busy : 0;
	u->memory = u->gpu / 2;
	return SUCCESS;
}

// A process is in the list if it has worked since a stamp.
API ret_t nvmlDeviceGetProcessUtilization(device_t g, busy_t *list, unsigned *count, unsigned long long after) {
	CHECK(g);
	int64_t now = now_ns();
	int works = neighbour(g, now) && g->faults.neighbour_busy > 0 && wall_us(now) > after;
	if (!works)
		return NOT_FOUND;
	if (!list || *count == 0) {
		*count = 1;
		return INSUFFICIENT_SIZE;
	}
	list[0] = (busy_t){(unsigned)g->faults.neighbour_pid, wall_us(now), (unsigned)g->faults.neighbour_busy, 0, 0, 0};
	*count = 1;
	return SUCCESS;
}

// number defines a call that always returns the same.
#define NUMBER(name, value) \
	API ret_t name(device_t g, unsigned *v) { \
		CHECK(g); \
		*v = (unsigned)(value); \
		return SUCCESS; \
	}

NUMBER(nvmlDeviceGetArchitecture, 9)
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, 5)
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, 5)
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, 16)
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, 16)
NUMBER(nvmlDeviceGetPersistenceMode, !g->not_persistent)
NUMBER(nvmlDeviceGetComputeMode, 0)
NUMBER(nvmlDeviceGetEnforcedPowerLimit, g->power_limit_mw)
NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, g->power_default_mw)

API ret_t nvmlDeviceGetPowerManagementLimitConstraints(device_t g, unsigned *low, unsigned *high) {
	CHECK(g);
	*low = 200000, *high = (unsigned)g->power_limit_mw;
	return SUCCESS;
}

API ret_t nvmlDeviceGetApplicationsClock(device_t g, int which, unsigned *mhz) {
	CHECK(g);
	*mhz = which == 2 ? 3201 : g->clock_mhz ? (unsigned)g->clock_mhz : 1980;
	return SUCCESS;
}

API ret_t nvmlDeviceGetDefaultApplicationsClock(device_t g, int which, unsigned *mhz) {
	CHECK(g);
	*mhz = which == 2 ? 3201 : 1980;
	return SUCCESS;
}

API ret_t nvmlDeviceGetEccMode(device_t g, unsigned *current, unsigned *pending) {
	CHECK(g);
	*current = *pending = !g->ecc_off;
	return SUCCESS;
}

// setting defines a call with one argument that always returns the same.
#define SETTING(name, value) \
	API ret_t name(device_t g, int which, unsigned *v) { \
		CHECK(g); \
		*v = (unsigned)(value); \
		return SUCCESS; \
	}

SETTING(nvmlDeviceGetClockInfo, which == 2 ? 3201 : 1980)
SETTING(nvmlDeviceGetMaxClockInfo, which == 2 ? 3201 : 1980)
SETTING(nvmlDeviceGetTemperature, which == 0 ? 45 : 0)
SETTING(nvmlDeviceGetTemperatureThreshold, which == 1 ? 92 : 95)

API ret_t nvmlDeviceGetFanSpeed(device_t g, unsigned *speed) {
	CHECK(g);
	*speed = 0;
	return NOT_SUPPORTED;
}
