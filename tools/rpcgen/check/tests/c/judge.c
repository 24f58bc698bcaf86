/* Reads octets of types of types.x with the code of C's rpcgen, and writes them again.
 *
 * stdin:  type's number, length, octets; all numbers of 32 bits in the host's order.
 * stdout: length and octets, or 0xffffffff where they are not of the type.
 * With the argument "samples" it writes values of its own first, one of each type. */
#include "types.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>

static const struct { xdrproc_t proc; size_t size; } types[] = {
    { (xdrproc_t)xdr_numbers, sizeof(numbers) },
    { (xdrproc_t)xdr_octets, sizeof(octets) },
    { (xdrproc_t)xdr_arrays, sizeof(arrays) },
    { (xdrproc_t)xdr_shape, sizeof(shape) },
    { (xdrproc_t)xdr_answer, sizeof(answer) },
    { (xdrproc_t)xdr_holder, sizeof(holder) },
    { (xdrproc_t)xdr_sized, sizeof(sized) },
};

static char in[1 << 20], out[1 << 20];

static void put(const void *octets, uint32_t len) {
    fwrite(&len, 4, 1, stdout);
    if (len != UINT32_MAX)
        fwrite(octets, 1, len, stdout);
    fflush(stdout);
}

static void encode(unsigned type, void *value) {
    XDR xdr;
    xdrmem_create(&xdr, out, sizeof out, XDR_ENCODE);
    if (types[type].proc(&xdr, value))
        put(out, xdr_getpos(&xdr));
    else
        put(NULL, UINT32_MAX);
}

static void again(unsigned type, uint32_t len) {
    XDR xdr;
    void *value = calloc(1, types[type].size);
    xdrmem_create(&xdr, in, len, XDR_DECODE);
    if (types[type].proc(&xdr, value) && xdr_getpos(&xdr) == len)
        encode(type, value);
    else
        put(NULL, UINT32_MAX);
    xdr_free(types[type].proc, value);
    free(value);
}

static numbers some_numbers(void) {
    numbers n = {
        .a_char = -1, .a_short = -2, .an_int = -3, .a_long = -4, .a_hyper = -5,
        .u_char_ = 200, .u_short_ = 60000, .u_int_ = 4000000000u, .u_bare = 1, .u_long_ = 2,
        .u_hyper_ = 0xfffffffffffffff0ull, .a_float = 1.5, .a_double = -0.1, .a_bool = TRUE,
        .a_color = DARK,
    };
    return n;
}

static void samples(void) {
    numbers n = some_numbers();
    encode(0, &n);

    octets o = { .fixed = "12345", .limited = { 2, "ab" }, .open = { 3, "cde" },
                 .limited_text = "text", .open_text = "", .sum = "01234567890123456789",
                 .who = "me" };
    encode(1, &o);

    int64_t limited[2] = { 1, -1 };
    name names[2] = { "one", "three" };
    uint64_t wide[1] = { 7 };
    arrays a = { .three = { 1, 2, 3 }, .fixed = { 1, 2, 3, 4, 5 },
                 .limited = { 2, (void *)limited }, .names = { 2, names },
                 .colors = { RED, BLUE }, .wide = { 1, (void *)wide }, .inner = { 1, &n },
                 .many = { 9, 8 } };
    encode(2, &a);

    shape s = { .which = BLUE, .shape_u.text = "blue" };
    encode(3, &s);

    answer w = { .status = FIXED, .answer_u.number = -9 };
    encode(4, &w);

    entry second = { 2, "b", NULL }, first = { 1, "a", &second };
    cell row = { 3, NULL };
    tree left = { 1, NULL, NULL }, right = { 3, NULL, NULL }, root = { 2, &left, &right };
    int number = 4;
    name label = "label";
    holder h = { .entries = &first, .rows = &row, .root = &root, .number = &number,
                 .label = &label, .perhaps = { .there = TRUE, .maybe_u.value = 5 } };
    encode(5, &h);

    sized z = { .size = 7, .sized_u.bytes = "01234567" };
    encode(6, &z);
}

int main(int argc, char **argv) {
    uint32_t head[2];
    if (argc > 1 && strcmp(argv[1], "samples") == 0)
        samples();
    while (fread(head, 4, 2, stdin) == 2) {
        if (head[0] >= sizeof types / sizeof *types || head[1] > sizeof in)
            return 1;
        if (fread(in, 1, head[1], stdin) != head[1])
            return 1;
        again(head[0], head[1]);
    }
    return 0;
}
