#include "tenants/base/metrics.h"

#include <stdatomic.h>

#include "tenants/base/mem.h"
#include "tenants/base/thread.h"

enum kind { COUNTER, GAUGE, HISTOGRAM };

struct family {
    enum kind kind;
    const char *name;
    const char *label;
    unsigned cells;
    const char *help;
};

static const struct family families[METRIC_COUNT] = {
#define X(kind, id, name, label, cells, help) {kind, name, label, cells, help},
    METRICS_TABLE(X)
#undef X
};

/* A histogram takes its buckets, a sum and a count. */
#define HISTOGRAM_CELLS (METRIC_HISTOGRAM_BUCKETS + 2)

struct thread_cells {
    struct thread_cells *next;
    _Atomic uint64_t *of[METRIC_COUNT]; /* made at first use */
};

static struct mutex registry_lock = {PTHREAD_MUTEX_INITIALIZER};
static struct thread_cells *all_threads; /* never freed: a thread's counts outlive it */
static _Thread_local struct thread_cells *self;
static _Atomic int64_t *gauges[METRIC_COUNT];
static const char **labels[METRIC_COUNT];

static unsigned cells_of(enum metric metric)
{
    return families[metric].kind == HISTOGRAM ? HISTOGRAM_CELLS : families[metric].cells;
}

static _Atomic uint64_t *own_cells(enum metric metric)
{
    if (unlikely(self == NULL)) {
        self = mem_zalloc(sizeof(*self));
        mutex_lock(&registry_lock);
        self->next = all_threads;
        all_threads = self;
        mutex_unlock(&registry_lock);
    }
    if (unlikely(self->of[metric] == NULL)) {
        _Atomic uint64_t *cells = mem_zalloc(cells_of(metric) * sizeof(*cells));

        mutex_lock(&registry_lock);
        self->of[metric] = cells;
        mutex_unlock(&registry_lock);
    }
    return self->of[metric];
}

static void bump(_Atomic uint64_t *cell, uint64_t value)
{
    uint64_t old = atomic_load_explicit(cell, memory_order_relaxed);

    atomic_store_explicit(cell, old + value, memory_order_relaxed);
}

void metric_add_cell(enum metric metric, unsigned cell, uint64_t value)
{
    if (cell < families[metric].cells)
        bump(&own_cells(metric)[cell], value);
}

static _Atomic int64_t *gauge_cells(enum metric metric)
{
    _Atomic int64_t *cells;

    mutex_lock(&registry_lock);
    if (gauges[metric] == NULL)
        gauges[metric] = mem_zalloc(families[metric].cells * sizeof(*gauges[metric]));
    cells = gauges[metric];
    mutex_unlock(&registry_lock);
    return cells;
}

void metric_gauge_add(enum metric metric, unsigned cell, int64_t delta)
{
    static _Thread_local _Atomic int64_t *cache[METRIC_COUNT];

    if (cache[metric] == NULL)
        cache[metric] = gauge_cells(metric);
    if (cell < families[metric].cells)
        atomic_fetch_add_explicit(&cache[metric][cell], delta, memory_order_relaxed);
}

void metric_gauge_set(enum metric metric, unsigned cell, int64_t value)
{
    if (cell < families[metric].cells)
        atomic_store_explicit(&gauge_cells(metric)[cell], value, memory_order_relaxed);
}

int64_t metric_gauge_get(enum metric metric, unsigned cell)
{
    return cell < families[metric].cells ? atomic_load(&gauge_cells(metric)[cell]) : 0;
}

void metric_observe(enum metric metric, uint64_t value)
{
    _Atomic uint64_t *cells = own_cells(metric);
    /* seconds: bucket b holds up to 2^b microseconds; counts: up to 2^b */
    uint64_t unit = strstr(families[metric].name, "seconds") != NULL ? value / 1000 : value;
    unsigned bucket = unit <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(unit - 1);

    bump(&cells[MIN(bucket, METRIC_HISTOGRAM_BUCKETS - 1)], 1);
    bump(&cells[METRIC_HISTOGRAM_BUCKETS], value);
    bump(&cells[METRIC_HISTOGRAM_BUCKETS + 1], 1);
}

void metrics_label(enum metric metric, unsigned cell, const char *text)
{
    mutex_lock(&registry_lock);
    if (labels[metric] == NULL)
        labels[metric] = mem_zalloc(families[metric].cells * sizeof(*labels[metric]));
    if (cell < families[metric].cells)
        labels[metric][cell] = text;
    mutex_unlock(&registry_lock);
}

/* With registry_lock held. */
static uint64_t sum_locked(enum metric metric, unsigned cell)
{
    uint64_t sum = 0;

    for (struct thread_cells *thread = all_threads; thread != NULL; thread = thread->next) {
        if (thread->of[metric] != NULL)
            sum += atomic_load_explicit(&thread->of[metric][cell], memory_order_relaxed);
    }
    return sum;
}

uint64_t metric_counter_get(enum metric metric, unsigned cell)
{
    uint64_t sum;

    mutex_lock(&registry_lock);
    sum = sum_locked(metric, cell);
    mutex_unlock(&registry_lock);
    return sum;
}

static void write_histogram(struct buf *out, enum metric metric)
{
    const char *name = families[metric].name;
    bool seconds = strstr(name, "seconds") != NULL;
    uint64_t running = 0;

    for (unsigned b = 0; b < METRIC_HISTOGRAM_BUCKETS - 1; b++) {
        running += sum_locked(metric, b);
        if (seconds)
            buf_printf(out, "%s_bucket{le=\"%.6f\"} %llu\n", name, (double)(1ULL << b) / 1e6,
                (unsigned long long)running);
        else
            buf_printf(
                out, "%s_bucket{le=\"%llu\"} %llu\n", name, 1ULL << b, (unsigned long long)running);
    }
    buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n", name,
        (unsigned long long)sum_locked(metric, METRIC_HISTOGRAM_BUCKETS + 1));
    if (seconds)
        buf_printf(
            out, "%s_sum %.9f\n", name, (double)sum_locked(metric, METRIC_HISTOGRAM_BUCKETS) / 1e9);
    else
        buf_printf(out, "%s_sum %llu\n", name,
            (unsigned long long)sum_locked(metric, METRIC_HISTOGRAM_BUCKETS));
    buf_printf(out, "%s_count %llu\n", name,
        (unsigned long long)sum_locked(metric, METRIC_HISTOGRAM_BUCKETS + 1));
}

static void write_cell(struct buf *out, enum metric metric, unsigned cell)
{
    const struct family *family = &families[metric];
    const char *label = labels[metric] == NULL ? NULL : labels[metric][cell];
    int64_t value;

    if (family->label[0] != '\0' && label == NULL)
        return;
    if (family->kind == GAUGE)
        value = gauges[metric] == NULL ? 0 : atomic_load(&gauges[metric][cell]);
    else
        value = (int64_t)sum_locked(metric, cell);
    if (family->kind == COUNTER && value == 0 && family->cells > 64)
        return; /* a wide family shows what happened only */
    if (label != NULL)
        buf_printf(out, "%s{%s} %lld\n", family->name, label, (long long)value);
    else
        buf_printf(out, "%s %lld\n", family->name, (long long)value);
}

void metrics_write(struct buf *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};

    mutex_lock(&registry_lock);
    for (int m = 0; m < METRIC_COUNT; m++) {
        const struct family *family = &families[m];

        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
            kinds[family->kind]);
        if (family->kind == HISTOGRAM) {
            write_histogram(out, (enum metric)m);
            continue;
        }
        for (unsigned cell = 0; cell < family->cells; cell++)
            write_cell(out, (enum metric)m, cell);
    }
    mutex_unlock(&registry_lock);
}
