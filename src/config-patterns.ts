/** The patterns of the configuration in words: what a person has to write. No value is repeated: it may be a secret in the wrong place. */
const WORDS: Readonly<Record<string, string>> = {
  '^/': 'must be a full path, which begins with /',
  ':?[0-9]+$': 'must be HOST:PORT, such as 127.0.0.1:7700',
  '^[a-z0-9][a-z0-9._-]{0,31}$': 'must be a tag: small letters, digits, . _ and -, up to 32, a letter or digit first',
  '^[a-z0-9][a-z0-9._-]{0,63}$': 'must be an id: small letters, digits, . _ and -, up to 64, a letter or digit first',
  '^[a-z0-9][a-z0-9._:-]{0,127}$': 'must be an id: small letters, digits, . _ : and -, up to 128, a letter or digit first',
  '^[a-z0-9_.-]+(/[a-z0-9_.-]+)*$':
    'must be a type, such as sensor/camera: small letters, digits, . _ and -, in parts with / between them',
  '^[A-Za-z0-9_.-]{1,128}$': 'must be a name of letters, digits, . _ and -, up to 128, without blanks',
  '^https?://': 'must be an address that begins with http:// or https://',
  '^https?://[^@?#\\s]+$': 'must be an address such as https://host:8000/v1, without user and password, ?, # and blanks',
  '^https?://[^@?#/\\s]+/?$':
    'must be the address of a server, such as http://127.0.0.1:1337, without user and password, path, ?, # and blanks',
  '^https?://[^@#\\s]+$': 'must be an address such as https://host/path, without user and password, # and blanks',
  '^mqtts?://[^@/?#\\s]+/?$':
    'must be mqtt://HOST:PORT or mqtts://HOST:PORT, without user and password: these have keys of their own',
  '^(rtsps?|https?)://[^@\\s]+$':
    'must be an address that begins with rtsp://, rtsps://, http:// or https://, without user and password: these have keys of their own',
  '^[A-Za-z_][A-Za-z0-9_]*$':
    'must be the name of a variable, such as API_KEY: letters, digits and _, no digit first; what it holds does not stand here',
  '^(https?://)?(\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$':
    'must be a host, such as images.example or https://images.example:8443, without a path',
  '^([1-9][0-9]{1,3}x[1-9][0-9]{1,3}|auto)$': 'must be WIDTHxHEIGHT, such as 1024x1024, or auto',
  '^[1-9][0-9]*(ms|s|m|h|d)$': 'must be a time such as 500ms, 10s, 5m, 1h or 1d',
  '^[A-Za-z][A-Za-z0-9_+-]{0,63}$':
    'must be a language such as en-gb or the name of a voice: letters, digits, _ + and -, up to 64, a letter first',
  '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$': 'must be a name of letters, digits, . _ and -, up to 128, a letter or digit first',
  '^[A-Za-z0-9_-]{1,64}$': 'must be a name of letters, digits, _ and -, up to 64'
}

/** What to write where a text must match `pattern`. Every pattern of the schema has words: `test/unit/config.spec.ts`. */
export function patternInWords(pattern: string): string | undefined {
  return WORDS[pattern]
}
