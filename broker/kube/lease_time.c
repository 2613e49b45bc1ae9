/* broker/kube/lease_time.c — see lease_time.h. */
#include "broker/kube/lease_time.h"

#include <stddef.h>
#include <stdio.h>
#include <time.h>

const char *lease_time_format(int64_t unix_us, char ret[LEASE_TIME_BYTES])
{
    time_t seconds = (time_t)(unix_us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(ret, LEASE_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret + n, LEASE_TIME_BYTES - n, ".%06uZ", (unsigned)(unix_us % 1000000));
    return ret;
}

/* Exactly so many digits, of a value within bounds. */
static bool take_number(const char **at, unsigned digits, int min, int max, int *ret)
{
    int value = 0;
    for (unsigned i = 0; i < digits; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        value = value * 10 + (**at - '0');
    }
    *ret = value;
    return value >= min && value <= max;
}

static bool take(const char **at, char c)
{
    bool there = **at == c;
    *at += there;
    return there;
}

static bool take_fraction(const char **at, int64_t *ret_us)
{
    int64_t unit = 100000;
    *ret_us = 0;
    if (!take(at, '.'))
        return true;
    const char *start = *at;
    for (; **at >= '0' && **at <= '9'; (*at)++, unit /= 10)
        *ret_us += unit * (**at - '0');
    return *at > start;
}

static bool take_offset(const char **at, int64_t *ret_s)
{
    int hours, minutes, sign = **at == '-' ? -1 : 1;
    *ret_s = 0;
    if (take(at, 'Z'))
        return true;
    if (!take(at, '+') && !take(at, '-'))
        return false;
    if (!take_number(at, 2, 0, 23, &hours) || !take(at, ':') || !take_number(at, 2, 0, 59, &minutes))
        return false;
    *ret_s = sign * (hours * 3600 + minutes * 60);
    return true;
}

static int days_of(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

bool lease_time_parse(const char *text, int64_t *ret_unix_us)
{
    struct tm tm = {0};
    int64_t fraction_us, offset_s;
    const char *at = text;
    int year, month;
    if (!take_number(&at, 4, 0, 9999, &year) || !take(&at, '-') || !take_number(&at, 2, 1, 12, &month) ||
        !take(&at, '-') || !take_number(&at, 2, 1, days_of(year, month), &tm.tm_mday) || !take(&at, 'T') ||
        !take_number(&at, 2, 0, 23, &tm.tm_hour) || !take(&at, ':') ||
        !take_number(&at, 2, 0, 59, &tm.tm_min) || !take(&at, ':') ||
        !take_number(&at, 2, 0, 59, &tm.tm_sec) || !take_fraction(&at, &fraction_us) ||
        !take_offset(&at, &offset_s) || *at != '\0')
        return false;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    *ret_unix_us = ((int64_t)timegm(&tm) - offset_s) * 1000000 + fraction_us;
    return true;
}
