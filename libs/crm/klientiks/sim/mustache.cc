#include "libs/crm/klientiks/sim/mustache.h"

#include <vector>

namespace dealstream::crm::klientiks::sim {
namespace {

using simkit::Json;

std::string Escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

class Renderer {
 public:
  explicit Renderer(std::string_view text) : text_(text) {}

  // Up to the end of the text or of the section.
  std::string Render(std::vector<const Json*> scopes, std::string_view section, bool shown) {
    std::string out;
    while (at_ < text_.size()) {
      const size_t open = text_.find("{{", at_);
      const size_t close = open == std::string_view::npos ? open : text_.find("}}", open);
      if (close == std::string_view::npos) {
        out += shown ? text_.substr(at_) : "";
        at_ = text_.size();
        break;
      }
      out += shown ? text_.substr(at_, open - at_) : "";
      const std::string_view tag = text_.substr(open + 2, close - open - 2);
      at_ = close + 2;
      if (tag.starts_with('/')) {
        if (tag.substr(1) == section) {
          return out;
        }
      } else if (tag.starts_with('#')) {
        out += RenderSection(scopes, tag.substr(1), shown);
      } else if (shown) {
        const Json* value = Find(scopes, tag);
        out += value == nullptr ? "" : Escaped(simkit::TextOf(*value));
      }
    }
    return out;
  }

 private:
  static const Json* Find(const std::vector<const Json*>& scopes, std::string_view name) {
    for (auto scope = scopes.rbegin(); scope != scopes.rend(); ++scope) {
      const auto found =
          (*scope)->is_object() ? (*scope)->find(std::string(name)) : (*scope)->end();
      if (found != (*scope)->end()) {
        return &*found;
      }
    }
    return nullptr;
  }

  std::string RenderSection(const std::vector<const Json*>& scopes,
                            std::string_view name,
                            bool shown) {
    const size_t begin = at_;
    const Json* value = Find(scopes, name);
    const bool is_empty = value == nullptr || value->is_null() || *value == false ||
                          (value->is_structured() && value->empty());
    if (is_empty || !value->is_array()) {
      std::vector<const Json*> inner = scopes;
      if (value != nullptr) {
        inner.push_back(value);
      }
      return Render(inner, name, shown && !is_empty);
    }
    std::string out;
    for (const Json& element : *value) {
      at_ = begin;
      std::vector<const Json*> inner = scopes;
      inner.push_back(&element);
      out += Render(inner, name, shown);
    }
    return out;
  }

  const std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::string RenderMustache(std::string_view text, const Json& context) {
  return Renderer(text).Render({&context}, "", /*shown=*/true);
}

}  // namespace dealstream::crm::klientiks::sim
