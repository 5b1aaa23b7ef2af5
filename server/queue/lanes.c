/* A ring of those that are due, and a heap of those that wait. */
#include "queue/lanes.h"

#include <stdlib.h>

void lanes_init(struct lanes *l)
{
    *l = (struct lanes){.by_name = map_new()};
}

static void lane_free(void *value)
{
    struct lane *lane = value;
    free(lane->name);
    free(lane);
}

void lanes_free(struct lanes *l)
{
    map_free(l->by_name, lane_free);
    free(l->heap);
    *l = (struct lanes){.by_name = NULL};
}

struct lane *lanes_find(const struct lanes *l, struct str name)
{
    return map_get(l->by_name, name);
}

/* --- the heap: the earliest stands first --- */

static void heap_set(struct lanes *l, size_t at, struct lane *lane)
{
    l->heap[at] = lane;
    lane->at = at;
}

static void heap_up(struct lanes *l, size_t at, struct lane *lane)
{
    for (; at > 0 && l->heap[(at - 1) / 2]->due_ms > lane->due_ms; at = (at - 1) / 2)
        heap_set(l, at, l->heap[(at - 1) / 2]);
    heap_set(l, at, lane);
}

static void heap_down(struct lanes *l, size_t at, struct lane *lane)
{
    for (size_t child; (child = 2 * at + 1) < l->n; at = child) {
        if (child + 1 < l->n && l->heap[child + 1]->due_ms < l->heap[child]->due_ms)
            child++;
        if (l->heap[child]->due_ms >= lane->due_ms)
            break;
        heap_set(l, at, l->heap[child]);
    }
    heap_set(l, at, lane);
}

static void heap_add(struct lanes *l, struct lane *lane)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 16;
        l->heap = mem_grow(l->heap, l->cap, sizeof(struct lane *));
    }
    heap_up(l, l->n++, lane);
}

static void heap_remove(struct lanes *l, struct lane *lane)
{
    size_t at = lane->at;
    struct lane *last = l->heap[--l->n];
    if (last == lane)
        return;
    if (at > 0 && l->heap[(at - 1) / 2]->due_ms > last->due_ms)
        heap_up(l, at, last);
    else
        heap_down(l, at, last);
}

/* --- the ring --- */

static void ring_add(struct lanes *l, struct lane *lane)
{
    if (!l->ring) {
        l->ring = lane->next = lane->prev = lane;
        return;
    }
    lane->next = l->ring;
    lane->prev = l->ring->prev;
    lane->prev->next = lane;
    l->ring->prev = lane;
}

static void ring_remove(struct lanes *l, struct lane *lane)
{
    if (l->ring == lane)
        l->ring = lane->next == lane ? NULL : lane->next;
    lane->prev->next = lane->next;
    lane->next->prev = lane->prev;
}

/* --- lanes --- */

static void enter_heap(struct lanes *l, struct lane *lane, int64_t due_ms)
{
    lane->due_ms = due_ms;
    lane->place = LANE_HEAP;
    heap_add(l, lane);
}

static struct lane *lane_new(struct lanes *l, struct str name)
{
    struct lane *lane = MEM_NEW(struct lane);
    lane->name = mem_strdup(name);
    lane->after = -1;
    lane->woken_ms = INT64_MAX;
    map_put(l->by_name, str_from(lane->name), lane);
    return lane;
}

void lanes_due(struct lanes *l, struct str name, int64_t due_ms)
{
    struct lane *lane = lanes_find(l, name);
    if (!lane) {
        enter_heap(l, lane_new(l, name), due_ms);
    } else if (lane->place == LANE_PARKED) {
        enter_heap(l, lane, due_ms);
    } else if (lane->place == LANE_HEAP && due_ms < lane->due_ms) {
        heap_remove(l, lane);
        enter_heap(l, lane, due_ms);
    } else if (lane->place == LANE_OUT && due_ms < lane->woken_ms) {
        lane->woken_ms = due_ms;
    }
}

struct lane *lanes_take(struct lanes *l, int64_t now_ms)
{
    l->now_ms = now_ms;
    while (l->n && l->heap[0]->due_ms <= now_ms) {
        struct lane *lane = l->heap[0];
        heap_remove(l, lane);
        lane->place = LANE_RING;
        ring_add(l, lane);
    }
    struct lane *lane = l->ring;
    if (!lane)
        return NULL;
    ring_remove(l, lane);
    lane->place = LANE_OUT;
    lane->woken_ms = INT64_MAX;
    return lane;
}

void lanes_put(struct lanes *l, struct lane *lane, int64_t due_ms)
{
    if (lane->woken_ms < due_ms)
        due_ms = lane->woken_ms;
    lane->woken_ms = INT64_MAX;
    if (due_ms <= l->now_ms) {
        lane->place = LANE_RING;
        ring_add(l, lane);
    } else if (due_ms != INT64_MAX) {
        enter_heap(l, lane, due_ms);
    } else if (lane->jobs) {
        lanes_park(lane);
    } else {
        map_take(l->by_name, str_from(lane->name));
        lane_free(lane);
    }
}

void lanes_park(struct lane *lane)
{
    lane->place = LANE_PARKED;
}

void lanes_job_over(struct lanes *l, struct lane *lane, int64_t now_ms)
{
    lane->jobs--;
    if (lane->place == LANE_PARKED)
        lanes_put(l, lane, now_ms);
}

int64_t lanes_next(const struct lanes *l)
{
    return l->ring ? 0 : l->n ? l->heap[0]->due_ms : INT64_MAX;
}
