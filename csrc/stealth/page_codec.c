/* page_codec.c - what nginx 1.22 says by itself, to the byte. */
#include "stealth/page_codec.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 512 };

static const struct {
  unsigned page, status;
  const char *reason; /* in the status line, and the page's title */
  const char *title;  /* another title */
  const char *more;   /* a line below */
} pages[] = {
  {400, 400, "Bad Request", NULL, NULL},
  {404, 404, "Not Found", NULL, NULL},
  {405, 405, "Not Allowed", NULL, NULL},
  {413, 413, "Request Entity Too Large", NULL, NULL},
  {414, 414, "Request-URI Too Large", NULL, NULL},
  {494, 400, "Bad Request", "Request Header Or Cookie Too Large",
   "Request Header Or Cookie Too Large"},
  {497, 400, "Bad Request", "The plain HTTP request was sent to HTTPS port",
   "The plain HTTP request was sent to HTTPS port"},
  {500, 500, "Internal Server Error", NULL, NULL},
  {501, 501, "Not Implemented", NULL, NULL},
  {502, 502, "Bad Gateway", NULL, NULL},
  {504, 504, "Gateway Time-out", NULL, NULL},
  {505, 505, "HTTP Version Not Supported", NULL, NULL},
};

enum { PAGES = sizeof pages / sizeof *pages, NOT_FOUND = 1 };

static const char padding[] =
  "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n";
enum { PADDINGS = 6 };

__attribute__((format(printf, 2, 3))) static void put(alk_buf_t *out,
                                                      const char *format, ...)
{
  char text[TEXT_MAX];
  va_list args;
  va_start(args, format);
  int len = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (len > 0 && (size_t) len < sizeof text)
    alk_buf_add(out, text, (size_t) len);
}

/* RFC 9110 §5.6.7, in no language but English. */
static void put_date(alk_buf_t *out, time_t now)
{
  static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed",
                                  "Thu", "Fri", "Sat"};
  static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  struct tm t = {0};
  gmtime_r(&now, &t);
  put(out, "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", days[t.tm_wday],
      t.tm_mday, months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min,
      t.tm_sec);
}

static void put_body(alk_buf_t *out, size_t i, const alk_page_t *page)
{
  unsigned status = pages[i].status;
  const char *title = pages[i].title;
  put(out, "<html>\r\n<head><title>%u %s</title></head>\r\n<body>\r\n", status,
      title == NULL ? pages[i].reason : title);
  put(out, "<center><h1>%u %s</h1></center>\r\n", status, pages[i].reason);
  if (pages[i].more != NULL) put(out, "<center>%s</center>\r\n", pages[i].more);
  put(out, "<hr><center>%.*s</center>\r\n</body>\r\n</html>\r\n",
      ALK_PAGE_SERVER_MAX, page->server);
  for (int n = 0; n < PADDINGS && page->is_padded && !page->is_bare; n++)
    put(out, "%s", padding);
}

void alk_page_put(alk_buf_t *out, const alk_page_t *page)
{
  alk_buf_t body = {0};
  size_t i = 0;
  while (i < PAGES && pages[i].page != page->page)
    i++;
  if (i == PAGES) i = NOT_FOUND;
  put_body(&body, i, page);
  if (!page->is_bare) {
    put(out, "HTTP/1.1 %u %s\r\nServer: %.*s\r\n", pages[i].status,
        pages[i].reason, ALK_PAGE_SERVER_MAX, page->server);
    put_date(out, page->now);
    put(out,
        "Content-Type: text/html\r\nContent-Length: %zu\r\nConnection: "
        "%s\r\n\r\n",
        alk_buf_size(&body), page->keeps ? "keep-alive" : "close");
  }
  if (!page->is_head)
    alk_buf_add(out, alk_buf_head(&body), alk_buf_size(&body));
  alk_buf_free(&body);
}
