"""URLs of the project."""

from django.urls import path

from shop import views

urlpatterns = [
    path("api/search", views.Search.as_view()),
    path("orders", views.Orders.as_view({"get": "list", "post": "create"})),
    path("order", views.order),
    path("plain", views.plain),
    path("later", views.later),
    path("export", views.Export.as_view()),
    path("uploads", views.Uploads.as_view()),
]
