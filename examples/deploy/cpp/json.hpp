// As much of JSON as a compiled file's metadata needs: reading, with an exception for whatever is no JSON.

#pragma once

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;

  static Json parse(const std::string& text) {
    std::size_t at = 0;
    Json value = read(text, at, 0);
    if (next(text, at) != '\0') fail();
    return value;
  }

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(value_); }
  double number() const { return as<double>(); }
  const std::string& text() const { return as<std::string>(); }
  const Array& array() const { return as<Array>(); }

  const Json& operator[](const char* key) const {
    for (const auto& [name, value] : as<Object>())
      if (name == key) return value;
    throw std::runtime_error(std::string("the metadata says nothing of ") + key);
  }

 private:
  static constexpr int kDeepest = 64;

  std::variant<std::nullptr_t, bool, double, std::string, Array, Object> value_ = nullptr;

  template <typename Kind>
  const Kind& as() const {
    if (const Kind* held = std::get_if<Kind>(&value_)) return *held;
    throw std::runtime_error("the metadata holds a value of another kind");
  }

  [[noreturn]] static void fail() { throw std::runtime_error("the metadata is no JSON"); }

  // The next character that is no space, 0 at the end; a text ends with 0, so that this may be looked at.
  static char next(const std::string& text, std::size_t& at) {
    at = text.find_first_not_of(" \t\r\n", at);
    if (at == std::string::npos) at = text.size();
    return text.c_str()[at];
  }

  static bool skip(const std::string& text, std::size_t& at, const std::string& word) {
    if (text.compare(at, word.size(), word) != 0) return false;
    at += word.size();
    return true;
  }

  static void expect(const std::string& text, std::size_t& at, char character) {
    if (next(text, at) != character) fail();
    ++at;
  }

  static Json read(const std::string& text, std::size_t& at, int depth) {
    if (depth > kDeepest) fail();
    Json made;
    const char first = next(text, at);
    if (first == '{') {
      made.value_ = read_object(text, at, depth);
    } else if (first == '[') {
      made.value_ = read_array(text, at, depth);
    } else if (first == '"') {
      made.value_ = read_text(text, at);
    } else if (skip(text, at, "true")) {
      made.value_ = true;
    } else if (skip(text, at, "false")) {
      made.value_ = false;
    } else if (!skip(text, at, "null")) {
      made.value_ = read_number(text, at);
    }
    return made;
  }

  static Object read_object(const std::string& text, std::size_t& at, int depth) {
    Object members;
    for (++at; next(text, at) != '}';) {
      if (!members.empty()) expect(text, at, ',');
      if (next(text, at) != '"') fail();
      std::string name = read_text(text, at);
      expect(text, at, ':');
      members.emplace_back(std::move(name), read(text, at, depth + 1));
    }
    ++at;
    return members;
  }

  static Array read_array(const std::string& text, std::size_t& at, int depth) {
    Array items;
    for (++at; next(text, at) != ']';) {
      if (!items.empty()) expect(text, at, ',');
      items.push_back(read(text, at, depth + 1));
    }
    ++at;
    return items;
  }

  static double read_number(const std::string& text, std::size_t& at) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str() + at, &end);
    const std::size_t length = static_cast<std::size_t>(end - (text.c_str() + at));
    if (length == 0) fail();
    at += length;
    return value;
  }

  static std::string read_text(const std::string& text, std::size_t& at) {
    static const std::string kEscaped = "\"\\/bfnrt";
    static const std::string kMeant = "\"\\/\b\f\n\r\t";
    std::string made;
    for (++at; at < text.size() && text[at] != '"'; ++at) {
      if (text[at] != '\\') {
        made += text[at];
        continue;
      }
      const char escaped = text.c_str()[++at];
      const std::size_t place = escaped == '\0' ? std::string::npos : kEscaped.find(escaped);
      if (place != std::string::npos) {
        made += kMeant[place];
      } else if (escaped == 'u') {
        // The file is UTF-8 and escapes control characters only; anything else escaped becomes a question mark.
        const std::string digits = text.substr(at + 1, 4);
        if (digits.size() != 4 || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) fail();
        const long code = std::strtol(digits.c_str(), nullptr, 16);
        made += code < 0x80 ? static_cast<char>(code) : '?';
        at += 4;
      } else {
        fail();
      }
    }
    if (at >= text.size()) fail();
    ++at;
    return made;
  }
};
