/**
 * Media types: what a file is, by the end of its name.
 *
 * why    a table of its own rather than the system's: the same file has the same type on every machine
 * rule   text is said to be UTF-8; a name that is not here is application/octet-stream, which no browser runs
 * spec   IANA media types; text/javascript is RFC 9239
 */
const ROWS: readonly (readonly [type: string, ...extensions: string[]])[] = [
  // text a browser shows or runs
  ["text/html; charset=utf-8", "html", "htm", "shtml"],
  ["text/css; charset=utf-8", "css"],
  ["text/javascript; charset=utf-8", "js", "mjs", "cjs"],
  ["text/plain; charset=utf-8", "txt", "text", "log", "conf", "ini", "asc"],
  ["text/markdown; charset=utf-8", "md", "markdown"],
  ["text/csv; charset=utf-8", "csv"],
  ["text/tab-separated-values; charset=utf-8", "tsv"],
  ["text/calendar; charset=utf-8", "ics"],
  ["text/vcard; charset=utf-8", "vcf"],
  ["text/vtt; charset=utf-8", "vtt"],
  ["text/xml; charset=utf-8", "xml", "xsl", "xslt"],
  ["text/cache-manifest; charset=utf-8", "appcache"],
  // data: JSON is UTF-8 by definition (RFC 8259 §8.1) and has no charset
  ["application/json", "json", "map"],
  ["application/ld+json", "jsonld"],
  ["application/geo+json", "geojson"],
  ["application/manifest+json", "webmanifest"],
  ["application/x-ndjson", "ndjson", "jsonl"],
  ["application/yaml", "yaml", "yml"],
  ["application/toml", "toml"],
  ["application/xhtml+xml; charset=utf-8", "xhtml"],
  ["application/atom+xml; charset=utf-8", "atom"],
  ["application/rss+xml; charset=utf-8", "rss"],
  ["application/wasm", "wasm"],
  ["application/sql", "sql"],
  ["application/x-protobuf", "pb"],
  // images
  ["image/svg+xml; charset=utf-8", "svg"],
  ["image/png", "png"],
  ["image/apng", "apng"],
  ["image/jpeg", "jpg", "jpeg", "jpe"],
  ["image/gif", "gif"],
  ["image/webp", "webp"],
  ["image/avif", "avif"],
  ["image/heic", "heic"],
  ["image/jxl", "jxl"],
  ["image/bmp", "bmp"],
  ["image/tiff", "tif", "tiff"],
  ["image/x-icon", "ico", "cur"],
  // fonts
  ["font/woff2", "woff2"],
  ["font/woff", "woff"],
  ["font/ttf", "ttf"],
  ["font/otf", "otf"],
  ["font/collection", "ttc"],
  ["application/vnd.ms-fontobject", "eot"],
  // sound and moving pictures
  ["audio/mpeg", "mp3"],
  ["audio/mp4", "m4a"],
  ["audio/aac", "aac"],
  ["audio/ogg", "oga", "ogg", "opus"],
  ["audio/flac", "flac"],
  ["audio/wav", "wav"],
  ["audio/webm", "weba"],
  ["audio/midi", "mid", "midi"],
  ["video/mp4", "mp4", "m4v"],
  ["video/webm", "webm"],
  ["video/ogg", "ogv"],
  ["video/quicktime", "mov"],
  ["video/x-matroska", "mkv"],
  ["video/x-msvideo", "avi"],
  ["video/mpeg", "mpg", "mpeg"],
  ["video/mp2t", "ts", "m2ts"],
  ["video/iso.segment", "m4s"],
  ["application/vnd.apple.mpegurl", "m3u8"],
  ["application/dash+xml", "mpd"],
  // documents
  ["application/pdf", "pdf"],
  ["application/rtf", "rtf"],
  ["application/epub+zip", "epub"],
  ["application/msword", "doc"],
  ["application/vnd.ms-excel", "xls"],
  ["application/vnd.ms-powerpoint", "ppt"],
  ["application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"],
  ["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"],
  ["application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"],
  ["application/vnd.oasis.opendocument.text", "odt"],
  ["application/vnd.oasis.opendocument.spreadsheet", "ods"],
  ["application/vnd.oasis.opendocument.presentation", "odp"],
  ["application/postscript", "ps", "eps", "ai"],
  // archives and programs
  ["application/zip", "zip"],
  ["application/gzip", "gz", "tgz"],
  ["application/x-bzip2", "bz2"],
  ["application/x-xz", "xz"],
  ["application/zstd", "zst"],
  ["application/x-7z-compressed", "7z"],
  ["application/vnd.rar", "rar"],
  ["application/x-tar", "tar"],
  ["application/java-archive", "jar", "war", "ear"],
  ["application/vnd.android.package-archive", "apk"],
  ["application/vnd.debian.binary-package", "deb"],
  ["application/x-rpm", "rpm"],
  ["application/x-x509-ca-cert", "crt", "der", "pem"],
  ["application/octet-stream", "bin", "exe", "dll", "iso", "img", "dmg", "msi"],
];

const UNKNOWN = "application/octet-stream";

export const MEDIA_TYPES: ReadonlyMap<string, string> = new Map(
  ROWS.flatMap(([type, ...extensions]) => extensions.map((extension) => [extension, type] as const)),
);

/** Content-Type of a file by its name or path. */
export function mediaTypeOf(name: string): string {
  const dot = name.lastIndexOf(".");
  if (dot === -1 || name.indexOf("/", dot) !== -1) return UNKNOWN;
  const extension = name.slice(dot + 1);
  return MEDIA_TYPES.get(extension) ?? MEDIA_TYPES.get(extension.toLowerCase()) ?? UNKNOWN;
}
