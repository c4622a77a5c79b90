// getopt and getopt_long, as in the GNU C library: what is no option is moved behind the options.
#pragma once
#include <stdio.h>
#include <string.h>
static char* optarg = nullptr;
static int optind = 1, opterr = 1, optopt = 0;
#define no_argument 0
#define required_argument 1
#define optional_argument 2
struct option { const char* name; int has_arg; int* flag; int val; };
__noinline__ inline void host_bring(char* const* arguments, int from, int to) {
    char** argv = (char**)arguments;
    char* moved = argv[from];
    for (int i = from; i > to; i--) argv[i] = argv[i - 1];
    argv[to] = moved;
}
__noinline__ inline int host_wrong_option(const char* program, const char* says, const char* name, char sign) {
    if (opterr && sign != ':') fprintf(stderr, "%s: %s '%s'\n", program, says, name);
    return sign == ':' && strncmp(says, "option requires", 15) == 0 ? ':' : '?';
}
__noinline__ inline int host_long_option(int argc, char* const* argv, const option* longs, int* index, char sign) {
    const char *name = argv[optind] + 2, *value = strchr(name, '=');
    size_t n = value ? (size_t)(value - name) : strlen(name);
    int found = -1, many = 0;
    for (int i = 0; longs[i].name; i++) {
        if (strncmp(longs[i].name, name, n)) continue;
        bool whole = strlen(longs[i].name) == n;
        if (whole || !many) found = i;
        many = whole ? -1000 : many + 1;
    }
    optind++;
    if (found < 0 || many > 1) return host_wrong_option(argv[0], found < 0 ? "unrecognized option" : "ambiguous option:", argv[optind - 1], sign);
    const option& o = longs[found];
    if (value && o.has_arg == no_argument) return host_wrong_option(argv[0], "an argument is not allowed for option", o.name, sign);
    if (value) optarg = (char*)value + 1;
    else if (o.has_arg == required_argument) {
        if (optind >= argc) return host_wrong_option(argv[0], "option requires an argument:", argv[optind - 1], sign);
        optarg = argv[optind++];
    }
    if (index) *index = found;
    if (!o.flag) return o.val;
    *o.flag = o.val;
    return 0;
}
__noinline__ inline int getopt_long(int argc, char* const* argv, const char* shorts, const option* longs, int* index) {
    static const char* cluster;  // the rest of "-abc"
    char sign = shorts[0] == ':' ? ':' : 0;
    optarg = nullptr;
    if (!cluster || !*cluster) {
        int at = optind;
        while (at < argc && (argv[at][0] != '-' || !argv[at][1])) at++;
        if (at >= argc) return -1;
        host_bring(argv, at, optind);
        if (strcmp(argv[optind], "--") == 0) { optind++; return -1; }
        if (longs && argv[optind][1] == '-') {
            if (at > optind && at + 1 < argc && !strchr(argv[optind], '=')) {
                for (int i = 0; longs[i].name; i++) {
                    bool same = strcmp(longs[i].name, argv[optind] + 2) == 0;
                    if (same && longs[i].has_arg == required_argument) host_bring(argv, at + 1, optind + 1);
                }
            }
            return host_long_option(argc, argv, longs, index, sign);
        }
        cluster = argv[optind] + 1;
        const char* known = strchr(shorts, *cluster);
        if (at > optind && at + 1 < argc && known && known[1] == ':' && known[2] != ':' && !cluster[1]) host_bring(argv, at + 1, optind + 1);
    }
    char name[2] = {*cluster++, 0};
    const char* known = name[0] == ':' ? nullptr : strchr(shorts, name[0]);
    bool last = !*cluster;
    if (last) optind++;
    if (!known) {
        optopt = name[0];
        return host_wrong_option(argv[0], "invalid option --", name, sign);
    }
    if (known[1] != ':') return name[0];
    if (!last) { optarg = (char*)cluster; optind++; }
    else if (known[2] != ':') {
        if (optind >= argc) {
            optopt = name[0];
            return host_wrong_option(argv[0], "option requires an argument --", name, sign);
        }
        optarg = argv[optind++];
    }
    cluster = nullptr;
    return name[0];
}
inline int getopt(int argc, char* const* argv, const char* shorts) { return getopt_long(argc, argv, shorts, nullptr, nullptr); }
